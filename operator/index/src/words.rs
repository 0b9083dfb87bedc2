//! Words in texts and questions.
//!
//! `SQLite` splits texts at everything that is neither letter nor digit, so `parse_iso-date` is three words to it. What
//! it does not split is `parseIsoDate`; this module does.

/// How many words of a question count.
const MAX_TERMS: usize = 24;

/// The words of a question, lower-case, each once, at most [`MAX_TERMS`].
pub(crate) fn terms(question: &str) -> Vec<String> {
    let mut terms: Vec<String> = Vec::new();
    for chunk in chunks(question) {
        let humps = humps(chunk);
        let parts = if humps.len() > 1 { humps } else { Vec::new() };
        for term in std::iter::once(chunk).chain(parts).map(str::to_lowercase) {
            if terms.len() < MAX_TERMS && !terms.contains(&term) {
                terms.push(term);
            }
        }
    }
    terms
}

/// The words inside the identifiers of a text, which `SQLite` would not find: `parse Iso Date` for `parseIsoDate`.
pub(crate) fn spelled_out(text: &str) -> String {
    let inner: Vec<&str> = chunks(text).map(humps).filter(|humps| humps.len() > 1).flatten().collect();
    inner.join(" ")
}

/// A question for FTS5 that any of `terms` answers. Quoted, a term has no syntax.
pub(crate) fn any_of(terms: &[String]) -> String {
    let quoted: Vec<String> = terms.iter().map(|term| format!("\"{term}\"")).collect();
    quoted.join(" OR ")
}

/// The longest beginning of `text` that has at most `bytes` bytes.
pub(crate) fn beginning(text: &str, bytes: usize) -> &str {
    &text[..text.floor_char_boundary(bytes)]
}

/// Letters and digits between everything else. No chunk holds a quote.
fn chunks(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|chunk| !chunk.is_empty())
}

/// Splits before a capital that follows a small letter or digit, and before the last of several capitals.
fn humps(chunk: &str) -> Vec<&str> {
    let letters: Vec<(usize, char)> = chunk.char_indices().collect();
    let starts = |i: usize| {
        let (before, here) = (letters[i - 1].1, letters[i].1);
        let small_follows = letters.get(i + 1).is_some_and(|(_, c)| c.is_lowercase());
        here.is_uppercase() && (!before.is_uppercase() || small_follows)
    };
    let mut parts = Vec::new();
    let mut from = 0;
    for i in (1..letters.len()).filter(|i| starts(*i)) {
        parts.push(&chunk[from..letters[i].0]);
        from = letters[i].0;
    }
    parts.push(&chunk[from..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_identifiers_of_every_style() {
        for (text, words) in [
            ("parse_iso-date", "parse iso date"),
            ("parseIsoDate", "parseisodate parse iso date"),
            ("HTTPServer2Go", "httpserver2go http server2 go"),
            ("Größe ÄnderungsDatum", "größe änderungsdatum änderungs datum"),
            ("word Word WORD", "word"),
        ] {
            assert_eq!(terms(text).join(" "), words, "{text}");
        }
    }

    #[test]
    fn spells_out_only_what_the_tokenizer_leaves_whole() {
        assert_eq!(spelled_out("parse_iso Read parseIsoDate of HTTPServer"), "parse Iso Date HTTP Server");
    }

    #[test]
    fn leaves_no_syntax_in_a_question() {
        assert_eq!(
            any_of(&terms(r#"" OR NEAR(a* b) ^col:x -y {} '"#)),
            r#""or" OR "near" OR "a" OR "b" OR "col" OR "x" OR "y""#
        );
        assert_eq!(any_of(&terms("?!")), "");
    }

    #[test]
    fn reads_the_beginning_of_a_long_question() {
        let long: Vec<String> = (0..1000).map(|i| format!("w{i}")).collect();
        assert_eq!(terms(&long.join(" ")), long[..MAX_TERMS]);
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(beginning("aé", 2), "a");
        assert_eq!(beginning("aé", 3), "aé");
    }
}
