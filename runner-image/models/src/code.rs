//! Code in what a model says.

/// Words that a line of Python at the left margin starts with, and that prose hardly starts with.
const STATEMENTS: [&str; 5] = ["import ", "def ", "async def ", "class ", "@"];
/// Words that open a block, if the line ends with a colon.
const BLOCKS: [&str; 9] = ["if ", "elif ", "else", "for ", "while ", "try", "except", "finally", "with "];
/// The function that code must define to be run.
const ENTRY: [&str; 2] = ["def run(", "async def run("];

/// The Python code in an answer of a model; `None` if it holds none.
///
/// What the model thinks aloud (`<think>`) is left out. Of several fenced blocks the last one that defines `run` is
/// taken, for a model that corrects itself does so below; if none does, all blocks of Python follow one another. A fence
/// that was never closed ends with the answer. Without any fence the code is what starts with the first line that only
/// code has and ends before the first line at the margin that only prose has.
#[must_use]
pub fn python_code(text: &str) -> Option<String> {
    let text = without_thoughts(text);
    let fences = fences(text);
    let code = if fences.is_empty() { plain(text) } else { fenced(&fences) };
    let code = code.trim_matches('\n').trim_end();
    (!code.is_empty()).then(|| format!("{code}\n"))
}

/// A block between fences.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    /// The word after the opening fence, in lower case.
    pub(crate) language: String,
    /// What is between the fences.
    pub(crate) content: String,
}

/// The text without the thoughts that some models put in front of it. Thoughts that never end leave nothing.
pub(crate) fn without_thoughts(text: &str) -> &str {
    match (text.trim_start().strip_prefix("<think>"), text.rsplit_once("</think>")) {
        // Some chat templates put the opening tag into the prompt.
        (_, Some((_, said))) => said,
        (Some(_), None) => "",
        (None, None) => text,
    }
}

/// Every fenced block (`CommonMark` 4.5), the last one also if it is not closed.
pub(crate) fn fences(text: &str) -> Vec<Fence> {
    let mut fences = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some((indent, fence, info)) = opening(line) else { continue };
        let language = info.split_whitespace().next().unwrap_or_default().to_ascii_lowercase();
        let content: Vec<&str> = lines
            .by_ref()
            .take_while(|line| !closes(line, fence))
            .map(|line| line.get(indent..).filter(|_| line[..indent].trim().is_empty()).unwrap_or(line))
            .collect();
        fences.push(Fence { language, content: content.join("\n") });
    }
    fences
}

/// The indentation, the fence and what follows it, if the line opens a block.
fn opening(line: &str) -> Option<(usize, &str, &str)> {
    let trimmed = line.trim_start();
    let mark = trimmed.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
    let length = trimmed.chars().take_while(|character| *character == mark).count();
    let (fence, info) = trimmed.split_at(length);
    let opens = length >= 3 && !info.contains('`');
    opens.then_some((line.len() - trimmed.len(), fence, info))
}

fn closes(line: &str, fence: &str) -> bool {
    let line = line.trim();
    line.starts_with(fence) && line.trim_start_matches(&fence[..1]).is_empty()
}

fn fenced(fences: &[Fence]) -> String {
    let python: Vec<&Fence> = fences
        .iter()
        .filter(|fence| matches!(fence.language.as_str(), "python" | "python3" | "py"))
        .collect();
    let untagged = || fences.iter().filter(|fence| fence.language.is_empty()).collect();
    let blocks: Vec<&Fence> = if python.is_empty() { untagged() } else { python };
    let entry = blocks.iter().rfind(|fence| fence.content.lines().any(|line| starts(line, &ENTRY)));
    match entry {
        Some(fence) => fence.content.clone(),
        None => blocks.iter().map(|fence| fence.content.as_str()).collect::<Vec<_>>().join("\n\n"),
    }
}

fn plain(text: &str) -> String {
    let mut code = Vec::new();
    let mut quoted = false;
    for line in text.lines().skip_while(|line| !begins(line)) {
        if !quoted && !belongs(line) {
            break;
        }
        // Lines of a triple-quoted text may look like anything.
        let marks = line.matches("\"\"\"").count() + line.matches("'''").count();
        quoted ^= marks % 2 == 1;
        code.push(line);
    }
    code.join("\n")
}

/// Whether only code has such a line.
fn begins(line: &str) -> bool {
    let imports = line.starts_with("from ") && line.contains(" import ");
    let defines = starts(line, &STATEMENTS[1..]) && (line.starts_with('@') || line.contains([':', '(']));
    // `import this module first` is prose.
    let import = line.strip_prefix(STATEMENTS[0]).is_some_and(|rest| {
        rest.split(',').all(|module| {
            let mut words = module.split_whitespace();
            words.next().is_some()
                && matches!((words.next(), words.next()), (None, None) | (Some("as"), Some(_)))
        })
    });
    imports || defines || import || assigns(line)
}

/// Whether a line can be part of code that has begun.
fn belongs(line: &str) -> bool {
    let blank = line.trim().is_empty();
    let inside = line.starts_with([' ', '\t', '#', ')', ']', '}', '"', '\'']);
    let block = starts(line, &BLOCKS) && line.trim_end().ends_with(':');
    let call = line.split_once('(').is_some_and(|(name, _)| is_name(name)) && line.trim_end().ends_with(')');
    blank || inside || block || call || begins(line)
}

/// Whether the line gives a name a value: `LIMIT = 5`, `table: dict = {`.
fn assigns(line: &str) -> bool {
    line.split_once('=').is_some_and(|(target, value)| {
        let name = target.split_once(':').map_or(target, |(name, _)| name);
        let name = name.trim_end().trim_end_matches(['+', '-', '*', '/', '|']);
        !value.starts_with('=') && is_name(name.trim_end())
    })
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | '.'))
}

fn starts(line: &str, words: &[&str]) -> bool {
    words.iter().any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "def run(input):\n    return input\n";

    #[test]
    fn finds_the_code_in_an_answer() {
        let fenced = |language: &str| format!("```{language}\n{CODE}```");
        for answer in [
            fenced("python"),
            fenced("Python"),
            fenced("py"),
            fenced("python3 title=\"run.py\""),
            fenced(""),
            fenced("python").replace("```", "~~~"),
            fenced("python").replace("```", "````"),
            fenced("python").replace('\n', "\r\n"),
            format!("Sure! Here is the function:\n\n{}\n\nIt returns its input.", fenced("python")),
            // Never closed: the answer was cut off.
            format!("Sure!\n```python\n{CODE}"),
            // In a list.
            "1. Do it:\n   ```python\n   def run(input):\n       return input\n   ```".to_owned(),
            // No fence at all.
            CODE.to_owned(),
            format!("{CODE}\nThis function returns its input."),
            format!("Here is the code you asked for:\n\n{CODE}"),
            format!("<think>Maybe\n```python\ndef run(x): pass\n```\n?</think>\n{}", fenced("python")),
            format!("so I will.</think>{CODE}"),
        ] {
            assert_eq!(python_code(&answer).as_deref(), Some(CODE), "{answer}");
        }
    }

    #[test]
    fn takes_the_last_block_that_defines_run() {
        let answer = format!(
            "```python\ndef run(input):\n    return None\n```\nBetter:\n```python\n{CODE}```\nTry it:\n```python\nprint(run(1))\n```\n```bash\npython run.py\n```"
        );
        assert_eq!(python_code(&answer).as_deref(), Some(CODE));
    }

    #[test]
    fn joins_blocks_when_none_defines_run() {
        let answer = "```python\nimport re\n```\nand\n```python\nX = 1\n```";
        assert_eq!(python_code(answer).as_deref(), Some("import re\n\nX = 1\n"));
    }

    #[test]
    fn prefers_blocks_of_python_to_others() {
        let answer = format!("```json\n{{}}\n```\n```\noutput\n```\n```python\n{CODE}```");
        assert_eq!(python_code(&answer).as_deref(), Some(CODE));
    }

    #[test]
    fn keeps_all_of_unfenced_code() {
        let code = "import re\nfrom math import floor\n\nLIMIT = 5\nTABLE: dict = {\n    'a': 1,\n}\n\n\n@staticmethod\ndef helper(x):\n    \"\"\"Says\nthings at the margin.\n\"\"\"\n    return x\n\n\nfor name in TABLE:\n    TABLE[name] += 1\n\n# The entry.\ndef run(input):\n    if input:\n        return 1\n    return 0\n";
        let answer = format!("Let us start.\n\n{code}\nIt works because of the table.");
        assert_eq!(python_code(&answer).as_deref(), Some(code));
    }

    #[test]
    fn finds_no_code_where_there_is_none() {
        for answer in [
            "",
            "   \n",
            "I cannot help with that.",
            "from the text we take every word\nand import what is needed first",
            "classify the words, then define a function",
            "```json\n{\"a\": 1}\n```",
            "```python\n```",
            "<think>def run(input):\n    return 1",
        ] {
            assert_eq!(python_code(answer), None, "{answer}");
        }
    }

    #[test]
    fn a_fence_in_the_code_does_not_end_it() {
        let answer = "````python\ndef run(input):\n    return '```'\n```\nstill = 1\n````";
        assert_eq!(
            python_code(answer).as_deref(),
            Some("def run(input):\n    return '```'\n```\nstill = 1\n")
        );
    }
}
