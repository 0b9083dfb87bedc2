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

/// `level` alternatives of alternatives of …: as many ways through as there are leaves.
fn doubling(level: u32, below: &dyn Fn(Value) -> Value) -> Value {
    let mut definitions = serde_json::Map::new();
    for n in 0..level {
        let next = below(json!({"$ref": format!("#/$defs/l{}", n + 1)}));
        definitions.insert(format!("l{n}"), json!({"anyOf": [next.clone(), next]}));
    }
    definitions.insert(format!("l{level}"), json!({"type": "string"}));
    json!({"$ref": "#/$defs/l0", "$defs": definitions})
}

#[test]
fn refuses_what_would_take_for_ever_to_check() {
    let child = |schema: Value| json!({"properties": {"a": schema}});
    let table = [
        doubling(30, &|schema| schema),
        doubling(30, &child),
        doubling(30, &|schema| json!({"items": schema})),
        json!({"anyOf": [{"properties": {"a": {"$ref": "#"}}}, {"additionalProperties": {"$ref": "#"}}]}),
    ];
    for schema in table {
        let error = Schema::compile(&schema).unwrap_err();
        assert!(error.message.contains("would take too long"), "{error}");
    }
}

#[test]
fn accepts_schemas_that_contain_themselves() {
    let loops = ["$ref", "not", "if"].map(|keyword| match keyword {
        "$ref" => json!({"$ref": "#"}),
        keyword => json!({keyword: {"$ref": "#"}}),
    });
    let tree = json!({
        "type": "object",
        "properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
    });
    let mutual = json!({"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"items": {"$ref": "#/$defs/a"}}}});
    let mut value = json!({});
    for _ in 0..60 {
        value = json!({"left": value});
    }
    for schema in loops.into_iter().chain([tree, mutual, doubling(8, &|schema| schema)]) {
        let schema = Schema::compile(&schema).unwrap();
        let _ = schema.check(&value);
    }
}

#[test]
fn requires_references_that_a_reader_can_follow() {
    for schema in [
        json!({"$ref": "#here", "$defs": {"a": {"$anchor": "here"}}}),
        json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}),
        json!({"properties": {"a": {"$id": "https://example.com/a", "$ref": "#/$defs/b", "$defs": {"b": true}}}}),
    ] {
        assert!(Schema::compile(&schema).is_err(), "{schema}");
    }
    let names = json!({"properties": {"$ref": {"type": "string"}}, "const": {"$ref": "x"}, "examples": [{"$ref": "y"}]});
    assert!(Schema::compile(&names).is_ok());
}
