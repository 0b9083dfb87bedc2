//! Source code without what is written for readers.

/// The source without comments and without triple-quoted texts that begin a line: honest code explains itself by examples.
/// Reads Python; what it takes for a comment in Bash may be more.
pub(super) fn without_comments(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '#' => {
                rest = &rest[rest.find('\n').unwrap_or(rest.len())..];
                continue;
            }
            '"' | '\'' => {
                let (length, triple) = text(rest);
                if triple && begins_line(&code) {
                    rest = &rest[length..];
                    continue;
                }
                length
            }
            other => other.len_utf8(),
        };
        code.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    code
}

/// Bytes of the text that starts with a quote, and whether it is triple-quoted. One that is never closed ends with its
/// line, or with the source.
fn text(source: &str) -> (usize, bool) {
    let quote = &source[..1];
    let triple = quote.repeat(3);
    let (end, triple) = if source.starts_with(&triple) { (triple.as_str(), true) } else { (quote, false) };
    let mut at = end.len();
    while let Some(next) = source[at..].chars().next() {
        if source[at..].starts_with(end) {
            return (at + end.len(), triple);
        }
        if next == '\n' && !triple {
            return (at, triple);
        }
        at += next.len_utf8();
        if next == '\\' {
            at += source[at..].chars().next().map_or(0, char::len_utf8);
        }
    }
    (source.len(), triple)
}

/// Whether nothing but white space, or the prefix of a raw text, stands in the last line.
fn begins_line(code: &str) -> bool {
    let line = code.rsplit('\n').next().unwrap_or_default();
    matches!(line.trim(), "" | "r" | "R" | "u" | "b")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_code_and_drops_what_explains_it() {
        for (source, code) in [
            ("x = 1  # one\ny = 2", "x = 1  \ny = 2"),
            (
                "def f():\n    \"\"\"Says.\n    >>> f(1)\n    \"\"\"\n    return '#'",
                "def f():\n    \n    return '#'",
            ),
            ("r'''it's'''\nx", "r\nx"),
            ("T = \"\"\"a # b\"\"\"", "T = \"\"\"a # b\"\"\""),
            ("T = {\n  'a#': \"b\\\"#\",\n}", "T = {\n  'a#': \"b\\\"#\",\n}"),
            ("x = 'open\ny = 1 # c", "x = 'open\ny = 1 "),
            ("'''never closed", ""),
            ("x = '\\", "x = '\\"),
            ("# é\nx = 'é'", "\nx = 'é'"),
        ] {
            assert_eq!(without_comments(source), code, "{source}");
        }
    }
}
