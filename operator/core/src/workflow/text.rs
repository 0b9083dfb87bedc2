//! Words for messages: bounded, with suggestions.

use std::fmt::Write as _;

/// Messages end up in a condition, which Kubernetes bounds; nobody reads more either.
pub(crate) const MESSAGE_CHARS: usize = 1000;

/// How many names a message lists before it stops.
const LISTED: usize = 8;

/// How much of a name a message repeats.
const NAME_CHARS: usize = 64;

/// At most `limit` characters of `text`, with an ellipsis where it was cut.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        None => text.to_owned(),
        Some((cut, _)) => format!("{}…", &text[..cut]),
    }
}

/// `` `a`, `b` and 3 more ``.
pub(crate) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let mut text = String::new();
    for name in names.by_ref().take(LISTED) {
        let separator = if text.is_empty() { "" } else { ", " };
        let _ = write!(text, "{separator}`{}`", shorten(name, NAME_CHARS));
    }
    match names.count() {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

/// The candidate that `name` is most likely a misspelling of.
///
/// Distance is Damerau–Levenshtein in its optimal string alignment form (Damerau 1964); a third of the name may
/// be wrong, since suggesting anything for everything helps nobody.
pub(crate) fn closest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(NAME_CHARS).collect();
    let tolerance = (name.len().max(3)) / 3;
    candidates
        .into_iter()
        .map(|candidate| (distance(&name, candidate), candidate))
        .filter(|(distance, _)| *distance <= tolerance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `; did you mean `x`?`, or nothing.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, candidates)
        .map_or_else(String::new, |candidate| format!("; did you mean `{}`?", shorten(candidate, NAME_CHARS)))
}

fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().take(NAME_CHARS).collect();
    let mut before: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let change = above[j] + usize::from(a != b);
            let mut least = change.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_the_nearest_name_only_when_it_is_near() {
        let names = ["clean", "classify", "score"];
        for (wrong, right) in [("claen", Some("clean")), ("clasify", Some("classify")), ("translate", None)] {
            assert_eq!(closest(wrong, names), right, "{wrong}");
        }
    }

    #[test]
    fn lists_a_few_names_and_counts_the_rest() {
        let names: Vec<String> = (0..11).map(|n| format!("n{n}")).collect();
        let text = list(names.iter().map(String::as_str));
        assert!(text.starts_with("`n0`, `n1`") && text.ends_with("and 3 more"), "{text}");
    }

    #[test]
    fn cuts_between_characters() {
        assert_eq!(shorten("äöü", 2), "äö…");
        assert_eq!(shorten("äöü", 3), "äöü");
    }
}
