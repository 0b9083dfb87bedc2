//! What a search found.

use dise_core::wire::SearchHit;

use super::{
    table::{self, Cell},
    text::{Paint, thousands},
};

const DESCRIPTION: usize = 60;

/// A line for each hit, the best first.
pub(crate) fn render(hits: &[SearchHit], paint: Paint) -> String {
    let row = |hit: &SearchHit| {
        [
            Cell::from(hit.name.as_str()),
            hit.kind.as_str().into(),
            hit.language.map(|language| format!("{language:?}")).into(),
            hit.quality.map(|quality| quality.to_string()).into(),
            thousands(i64::try_from(hit.usage).unwrap_or(i64::MAX)).into(),
            format!("{:.3}", hit.score).into(),
            shorten(&hit.description).into(),
        ]
    };
    let rows: Vec<_> = hits.iter().map(row).collect();
    table::render(["NAME", "KIND", "LANGUAGE", "QUALITY", "USES", "SCORE", "DESCRIPTION"], &rows, paint)
}

fn shorten(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.char_indices().nth(DESCRIPTION) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn shows_a_line_for_each_hit() {
        let hits: Vec<SearchHit> = serde_json::from_value(json!([
            {"name": "text-slug-code-1", "kind": "Function", "language": "Python", "quality": "0.98", "usage": 1200,
             "score": 0.8123, "parts": {"words": 0.8123},
             "description": "Lower-case words of a title, joined by hyphens, without the accents of letters."},
            {"name": "prompt-1", "kind": "Prompt", "usage": 0, "score": 0.5, "parts": {}, "description": "Write code."},
        ]))
        .unwrap();
        let expected = "\
NAME               KIND       LANGUAGE   QUALITY   USES    SCORE   DESCRIPTION
text-slug-code-1   Function   Python     0.98      1 200   0.812   Lower-case words of a title, joined by hyphens, without the …
prompt-1           Prompt     -          -         0       0.500   Write code.
";
        assert_eq!(render(&hits, Paint::NONE), expected);
    }
}
