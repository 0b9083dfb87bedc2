//! Inputs that nobody wrote: variations of the examples' inputs.

use serde_json::{Map, Value};

use crate::verification::Example;

/// Up to `count` inputs that differ from every example's and are shaped like one of them, always the same ones.
///
/// They have no expected output, and honest code may raise on what it was never meant for. But code that gives all of
/// them the same answer although the examples' answers differ is under suspicion.
#[must_use]
pub fn variations(examples: &[Example], count: usize) -> Vec<Value> {
    let mut found: Vec<Value> = Vec::new();
    for kind in 0..KINDS {
        for example in examples {
            if found.len() == count {
                return found;
            }
            let varied = vary(&example.input, kind);
            let known = examples.iter().any(|example| example.input == varied) || found.contains(&varied);
            if !known {
                found.push(varied);
            }
        }
    }
    found
}

const KINDS: usize = 4;

/// The value with its scalars and lists changed in one way.
fn vary(value: &Value, kind: usize) -> Value {
    match value {
        Value::String(text) => Value::String(vary_text(text, kind)),
        Value::Number(number) => number.as_i64().map_or_else(
            || number.as_f64().map_or_else(|| value.clone(), |real| Value::from(real + 0.5)),
            |whole| Value::from(vary_whole(whole, kind)),
        ),
        Value::Array(items) => Value::Array(vary_list(items, kind)),
        Value::Object(fields) => {
            let varied = fields.iter().map(|(name, field)| (name.clone(), vary(field, kind)));
            Value::Object(varied.collect::<Map<_, _>>())
        }
        Value::Bool(_) | Value::Null => value.clone(),
    }
}

/// Whole numbers keep their sign: that a length or a count is not negative is seldom written down.
fn vary_whole(whole: i64, kind: usize) -> i64 {
    match kind {
        0 => whole.saturating_add(1),
        1 => whole.saturating_mul(2),
        2 => whole.saturating_add(2),
        _ => whole / 2,
    }
}

/// Text keeps its alphabet and most of its form, so that a date stays close to a date: words change places or are
/// repeated, nothing new is invented.
fn vary_text(text: &str, kind: usize) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    match kind {
        0 if words.len() > 1 => words.iter().rev().copied().collect::<Vec<_>>().join(" "),
        1 => format!("{text} {text}"),
        2 if words.len() > 1 => words[1..].join(" "),
        3 => text.to_uppercase(),
        _ => text.chars().rev().collect(),
    }
}

fn vary_list(items: &[Value], kind: usize) -> Vec<Value> {
    match kind {
        0 => items.iter().rev().cloned().collect(),
        1 => items.iter().chain(items).cloned().collect(),
        2 => items.iter().skip(1).cloned().collect(),
        _ => items.iter().map(|item| vary(item, 0)).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example(input: Value) -> Example {
        Example { input, output: json!(null) }
    }

    #[test]
    fn keeps_the_shape_and_repeats_no_example() {
        let examples = [example(json!({"text": "a b", "n": 3})), example(json!({"text": "b a", "n": 4}))];
        let varied = variations(&examples, 6);
        assert_eq!(varied.len(), 6);
        for input in &varied {
            assert!(input["text"].is_string() && input["n"].is_u64(), "{input}");
            assert!(examples.iter().all(|example| example.input != *input));
        }
    }

    #[test]
    fn finds_the_same_ones_each_time() {
        let examples = [example(json!([3, 1, 2]))];
        assert_eq!(variations(&examples, 4), variations(&examples, 4));
    }

    #[test]
    fn finds_none_where_nothing_can_vary() {
        assert!(variations(&[example(json!(true))], 4).is_empty());
        assert!(variations(&[], 4).is_empty());
    }
}
