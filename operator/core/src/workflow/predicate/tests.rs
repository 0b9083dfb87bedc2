use serde_json::json;

use super::*;

#[test]
fn holds_or_not() {
    let (input, output) = (json!({"text": "abc"}), json!({"label": "positive", "score": 1, "ok": true}));
    let table = [
        ("output.label in ['positive', 'negative']", true),
        ("size(input.text) > 3", false),
        ("output.ok", true),
        ("output.score <= 1.0 && output.score * 0.5 == 0.5", true),
        ("!has(output.reason) || size(output.reason) > 0", true),
        ("input.text.matches('^[a-z]+$')", true),
    ];
    for (text, expected) in table {
        assert_eq!(Predicate::parse(text).unwrap().holds(&input, &output), Ok(expected), "{text}");
    }
}

#[test]
fn fails_on_what_is_neither_true_nor_false() {
    for (text, expected) in [
        ("output.label", "the result is a string; expected true or false"),
        ("output.label + '!'", "the result is a string; expected true or false"),
        ("output.lable == 'x'", "did you mean `label`?"),
    ] {
        let error = Predicate::parse(text).unwrap().holds(&json!(1), &json!({"label": "x"})).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    }
}

#[test]
fn sees_only_its_own_step() {
    let error = Predicate::parse("steps.clean.text == ''").unwrap_err();
    assert!(error.to_string().contains("a check sees only `input` and `output`"), "{error}");
}
