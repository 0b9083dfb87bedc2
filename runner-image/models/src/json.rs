//! JSON in what a model says.

use serde_json::Value;

use crate::code;

/// The JSON of an answer: the whole text, the content of a fence, or what lies between the outermost braces.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let text = code::without_thoughts(text).trim();
    let fenced = code::fences(text).into_iter().next().map(|fence| fence.content);
    let braced = text.find('{').zip(text.rfind('}')).and_then(|(start, end)| text.get(start..=end));
    [Some(text), fenced.as_deref(), braced]
        .into_iter()
        .flatten()
        .find_map(|text| serde_json::from_str(text).ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_json_in_chatty_answers() {
        for (text, value) in [
            (r#"{"a": 1}"#, Some(json!({"a": 1}))),
            ("\"word\"", Some(json!("word"))),
            ("<think>{\"b\": 2}?</think>\n{\"a\": 1}", Some(json!({"a": 1}))),
            ("Here you are:\n```json\n[1, 2]\n```\nBye.", Some(json!([1, 2]))),
            ("Sure: {\"a\": {\"b\": 1}}. Anything else?", Some(json!({"a": {"b": 1}}))),
            ("I cannot do that.", None),
            ("} {", None),
            (r#"{"a": "#, None),
        ] {
            assert_eq!(parse(text), value, "{text}");
        }
    }
}
