//! Code in what a model says.

use dise_core::function::{Function, Language};

/// How a script starts that stands there without a fence.
const STARTS: [&str; 9] = ["#!", "set -", "jq ", "awk ", "gawk ", "sed ", "input=$(", "read -r", "cat |"];
const FENCE: &str = "```";

/// The function in an answer; nothing if it holds no code.
pub(super) fn function(language: Language, answer: &str) -> Option<Function> {
    let source = match language {
        Language::Python => dise_models::python_code(answer),
        Language::Bash => script(answer),
    };
    source.map(|source| Function { language, source })
}

/// The last fenced script; without any fence the whole answer, if it starts like a script.
fn script(answer: &str) -> Option<String> {
    let answer = answer.rsplit_once("</think>").map_or(answer, |(_, said)| said).trim();
    let script = if answer.contains(FENCE) {
        fenced(answer)?
    } else {
        STARTS.iter().any(|start| answer.starts_with(start)).then(|| answer.to_owned())?
    };
    let script = script.trim();
    (!script.is_empty()).then(|| format!("{script}\n"))
}

/// The content of the last block that may be a script. A block that is never closed ends with the answer.
fn fenced(answer: &str) -> Option<String> {
    let mut lines = answer.lines();
    let mut found = None;
    while let Some(line) = lines.next() {
        let Some(tag) = line.trim_start().strip_prefix(FENCE) else { continue };
        let content: Vec<&str> =
            lines.by_ref().take_while(|line| !line.trim_start().starts_with(FENCE)).collect();
        if matches!(tag.trim().to_ascii_lowercase().as_str(), "" | "bash" | "sh" | "shell") {
            found = Some(content.join("\n"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_script_in_an_answer() {
        let script = "set -eu\njq -c '.n * 2'\n";
        for answer in [
            format!("```bash\n{script}```"),
            format!("Sure:\n```sh\necho draft\n```\nBetter:\n```\n{script}```\nIts output:\n```json\n4\n```"),
            format!("```bash\n{script}"),
            format!("<think>```bash\nls\n```</think>{script}"),
            script.to_owned(),
        ] {
            let found = function(Language::Bash, &answer).map(|function| function.source);
            assert_eq!(found.as_deref(), Some(script), "{answer}");
        }
    }

    #[test]
    fn finds_no_script_where_there_is_none() {
        for answer in ["", "I cannot help with that.", "```json\n{}\n```", "```bash\n```"] {
            assert_eq!(function(Language::Bash, answer), None, "{answer}");
        }
    }
}
