use serde_json::json;

use super::*;

#[test]
fn names_the_first_violation_in_document_order() {
    let schema = json!({
        "type": "object",
        "required": ["label"],
        "properties": {
            "label": {"enum": ["positive", "negative"]},
            "items": {"type": "array", "items": {"type": "integer"}},
        },
    });
    let schema = Schema::compile(&schema).unwrap();
    let table = [
        (json!({"label": "positive", "items": [1, 2]}), None),
        (json!({"label": "odd", "items": [1, "x", "y"]}), Some("/items/1")),
        (json!({"label": "odd"}), Some("/label")),
        (json!({"items": ["x"]}), Some("")),
        (json!([]), Some("")),
    ];
    for (value, pointer) in table {
        let violation = schema.check(&value).err();
        assert_eq!(violation.as_ref().map(|it| it.pointer.as_str()), pointer, "{value}: {violation:?}");
    }
}

#[test]
fn says_what_is_wrong_without_repeating_a_long_value() {
    let schema =
        Schema::compile(&json!({"properties": {"n": {"type": "integer"}}, "type": "object"})).unwrap();
    let short = schema.check(&json!({"n": "three"})).unwrap_err();
    assert_eq!(short.to_string(), "/n: \"three\" is not of type \"integer\"");
    let long = schema.check(&json!({"n": "x".repeat(5000)})).unwrap_err();
    assert_eq!(long.message, "the text is not of type \"integer\"");
    let list = schema.check(&json!([1, 2])).unwrap_err();
    assert_eq!(list.to_string(), "the list is not of type \"object\"");
}

#[test]
fn never_fetches_a_reference() {
    for reference in ["https://example.com/schema.json", "file:///etc/passwd", "other.json", "#/$defs/none"] {
        assert!(Schema::compile(&json!({"$ref": reference})).is_err(), "{reference}");
    }
    let local = json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}});
    assert!(Schema::compile(&local).unwrap().check(&json!("x")).is_err());
}

#[test]
fn rejects_what_is_not_a_schema_and_says_where() {
    let table = [
        (json!({"type": "text"}), "/type"),
        (json!({"properties": {"a": {"minLength": -1}}}), "/properties/a/minLength"),
        (json!({"required": "a"}), "/required"),
        (json!(3), ""),
        (json!({"pattern": "("}), "/pattern"),
    ];
    for (schema, pointer) in table {
        let error = Schema::compile(&schema).unwrap_err();
        assert_eq!(error.pointer, pointer, "{error}");
    }
}

#[test]
fn runs_patterns_in_linear_time() {
    assert!(Schema::compile(&json!({"pattern": "(a)\\1"})).is_err());
    let schema = Schema::compile(&json!({"pattern": "^(a+)+$"})).unwrap();
    assert!(schema.check(&json!(format!("{}!", "a".repeat(50_000)))).is_err());
    assert!(Schema::compile(&json!({"pattern": "(((a{1,100}){1,100}){1,100}){1,100}"})).is_err());
}
