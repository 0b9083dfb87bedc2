//! Finds the `${ … }` in a text.

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// Stands for itself.
    Text(&'a str),
    /// What stands between `${` and `}`.
    Expression(&'a str),
}

/// Splits `text` at its expressions. `$${` is a literal `${`.
pub(crate) fn scan(text: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if let Some(before) = rest[..at].strip_suffix('$') {
            pieces.extend([Piece::Text(before), Piece::Text("${")]);
            rest = &rest[at + 2..];
            continue;
        }
        let body = &rest[at + 2..];
        let end = end_of_expression(body)
            .ok_or("`${` has no matching `}`; write `$${` for a literal `${`".to_owned())?;
        pieces.extend([Piece::Text(&rest[..at]), Piece::Expression(&body[..end])]);
        rest = &body[end + 1..];
    }
    pieces.push(Piece::Text(rest));
    pieces.retain(|piece| *piece != Piece::Text(""));
    Ok(pieces)
}

/// Where the `}` stands that ends the expression at the start of `text`. Braces within CEL's string literals and
/// comments do not count.
fn end_of_expression(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(character) = text[at..].chars().next() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            '"' | '\'' => {
                at += literal_length(&text[at..], is_raw(&text[..at]))?;
                continue;
            }
            '/' if text[at..].starts_with("//") => {
                at += text[at..].find('\n')?;
                continue;
            }
            _ => {}
        }
        at += character.len_utf8();
    }
    None
}

/// Whether a quote after `before` opens a raw literal: `r"\"`, but not the end of the name in `user"`.
fn is_raw(before: &str) -> bool {
    let prefix: String =
        before.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').take(3).collect();
    matches!(prefix.to_ascii_lowercase().as_str(), "r" | "rb" | "br")
}

/// The length of the string literal at the start of `text`, quotes included.
fn literal_length(text: &str, raw: bool) -> Option<usize> {
    let quote = [r#"""""#, "'''", "\"", "'"].into_iter().find(|quote| text.starts_with(quote))?;
    let mut at = quote.len();
    while let Some(character) = text[at..].chars().next() {
        if text[at..].starts_with(quote) {
            return Some(at + quote.len());
        }
        at += character.len_utf8();
        if character == '\\' && !raw {
            at += text[at..].chars().next()?.len_utf8();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{
        Piece::{Expression, Text},
        *,
    };

    #[test]
    fn finds_where_expressions_end() {
        let table: [(&str, &[Piece<'_>]); 12] = [
            ("", &[]),
            ("plain $ and {x}", &[Text("plain $ and {x}")]),
            ("${a}", &[Expression("a")]),
            ("x ${a} y ${b}", &[Text("x "), Expression("a"), Text(" y "), Expression("b")]),
            (r#"${ {"a": "}"}["a"] }"#, &[Expression(r#" {"a": "}"}["a"] "#)]),
            (r#"${"\"}"}!"#, &[Expression(r#""\"}""#), Text("!")]),
            (r#"${r"\"}!"#, &[Expression(r#"r"\""#), Text("!")]),
            ("${'''}'}'''}", &[Expression("'''}'}'''")]),
            ("${a // }\n}", &[Expression("a // }\n")]),
            ("$${a}", &[Text("${"), Text("a}")]),
            ("$$${a}", &[Text("$"), Text("${"), Text("a}")]),
            ("${'ü}'}", &[Expression("'ü}'")]),
        ];
        for (text, pieces) in table {
            assert_eq!(scan(text).unwrap(), pieces, "{text}");
        }
    }

    #[test]
    fn rejects_an_expression_without_end() {
        for text in ["${", "${a", "${'}", "${ {} ", "${ // }", r#"${"\"#] {
            assert!(scan(text).is_err(), "{text}");
        }
    }
}
