//! The first difference between two JSON values, for a person.

use serde_json::Value;

/// The most that a message repeats of a value.
const SHOWN: usize = 200;

/// Says where `got` differs from `expected` first; nothing when they are the same value. Numbers are compared by
/// value, 1 and 1.0 are the same.
pub(super) fn first(expected: &Value, got: &Value) -> Option<String> {
    find(expected, got, &mut String::new())
}

fn find(expected: &Value, got: &Value, pointer: &mut String) -> Option<String> {
    match (expected, got) {
        (Value::Object(wanted), Value::Object(found)) => {
            for (key, wanted) in wanted {
                let Some(found) = found.get(key) else {
                    return Some(format!(
                        "{} lacks `{}`, expected {}",
                        place(pointer),
                        shorten(key),
                        show(wanted)
                    ));
                };
                if let Some(difference) = inside(pointer, &escape(key), wanted, found) {
                    return Some(difference);
                }
            }
            let surplus = found.iter().find(|(key, _)| !wanted.contains_key(*key))?;
            Some(format!(
                "{} has `{}` = {}, which is not expected",
                place(pointer),
                shorten(surplus.0),
                show(surplus.1)
            ))
        }
        (Value::Array(wanted), Value::Array(found)) => {
            for (index, (wanted, found)) in wanted.iter().zip(found).enumerate() {
                if let Some(difference) = inside(pointer, &index.to_string(), wanted, found) {
                    return Some(difference);
                }
            }
            if wanted.len() == found.len() {
                return None;
            }
            Some(format!("{} has {} elements, expected {}", place(pointer), found.len(), wanted.len()))
        }
        (Value::Number(wanted), Value::Number(found)) if same(wanted, found) => None,
        _ if expected == got => None,
        _ => Some(format!("{} is {}, expected {}", place(pointer), show(got), show(expected))),
    }
}

fn inside(pointer: &mut String, segment: &str, expected: &Value, got: &Value) -> Option<String> {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(segment);
    let difference = find(expected, got, pointer);
    pointer.truncate(length);
    difference
}

fn same(a: &serde_json::Number, b: &serde_json::Number) -> bool {
    // Large integers that differ may round to the same float, so that is asked last.
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a == b,
        _ => a.as_f64() == b.as_f64(),
    }
}

fn place(pointer: &str) -> String {
    if pointer.is_empty() { "the output".to_owned() } else { format!("output {}", shorten(pointer)) }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

fn show(value: &Value) -> String {
    shorten(&value.to_string())
}

/// The first characters of a text that is too long for a message.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_compared_by_value() {
        assert_eq!(first(&json!({"a": [1, 2.0]}), &json!({"a": [1.0, 2]})), None);
        assert!(first(&json!(9_007_199_254_740_993_u64), &json!(9_007_199_254_740_992_u64)).is_some());
        assert!(first(&json!(1), &json!(true)).is_some());
    }

    #[test]
    fn names_the_first_difference() {
        let table = [
            (json!({"a/b": [1, 2]}), json!({"a/b": [1, 3]}), "output /a~1b/1 is 3, expected 2"),
            (json!({"a": 1}), json!({}), "the output lacks `a`, expected 1"),
            (json!({}), json!({"a": 1}), "the output has `a` = 1, which is not expected"),
            (json!([1]), json!([1, 2]), "the output has 2 elements, expected 1"),
            (json!("x"), json!(null), "the output is null, expected \"x\""),
        ];
        for (expected, got, message) in table {
            assert_eq!(first(&expected, &got).as_deref(), Some(message));
        }
    }

    #[test]
    fn shows_no_more_than_the_beginning() {
        let message = first(&json!("x".repeat(10_000)), &json!("y".repeat(10_000))).unwrap();
        assert!(message.chars().count() < 500, "{message}");
    }
}
