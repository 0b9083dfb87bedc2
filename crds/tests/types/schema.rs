//! Properties that every schema of the API must have.

use dise_crds::crds;
use serde_json::Value;

/// `kubectl apply` stores the object in an annotation, and all annotations together may take this much.
const ANNOTATION_LIMIT: usize = 256 * 1024;

/// The schemas of all kinds with their names.
fn schemas() -> Vec<(String, Value)> {
    let schema = |crd| {
        let crd = serde_json::to_value(crd).unwrap();
        let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
        (kind, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
    };
    crds().into_iter().map(schema).collect()
}

/// Calls `check` with the path and the schema of every field.
fn for_each_field(check: &mut impl FnMut(&str, &Value)) {
    fn walk(path: &str, schema: &Value, check: &mut impl FnMut(&str, &Value)) {
        check(path, schema);
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), field, check);
        }
        for (part, suffix) in [("items", "[]"), ("additionalProperties", "{}")] {
            if schema[part].is_object() {
                walk(&format!("{path}{suffix}"), &schema[part], check);
            }
        }
    }
    for (kind, schema) in schemas() {
        walk(&kind, &schema, check);
    }
}

#[test]
fn everything_is_bounded() {
    for_each_field(&mut |path, schema| match schema["type"].as_str() {
        Some("string") => {
            let bounded =
                schema["maxLength"].is_u64() || schema["enum"].is_array() || schema["format"] == "date-time";
            assert!(bounded, "{path} has no maxLength");
        }
        Some("array") => assert!(schema["maxItems"].is_u64(), "{path} has no maxItems"),
        Some("integer") => assert!(schema["minimum"].is_number(), "{path} has no minimum"),
        Some("object") if schema["additionalProperties"].is_object() => {
            assert!(schema["maxProperties"].is_u64(), "{path} has no maxProperties");
        }
        _ => {}
    });
}

#[test]
fn numbers_are_signed_integers() {
    for_each_field(&mut |path, schema| {
        assert_ne!(schema["type"], "number", "{path} is a float");
        assert_ne!(schema["type"], "boolean", "{path} is a bool; use an enum that can grow");
        let format = schema["format"].as_str().unwrap_or_default();
        assert!(["", "int32", "int64", "date-time"].contains(&format), "{path} has format {format}");
    });
}

#[test]
fn every_field_is_documented() {
    for_each_field(&mut |path, schema| {
        let is_element = path.ends_with("[]") || path.ends_with("{}");
        let documented =
            schema["description"].as_str().is_some_and(|text| text.len() > 10 && !text.contains('\n'));
        assert!(documented || is_element, "{path} has no description");
    });
}

#[test]
fn documented_defaults_are_those_of_the_schema() {
    for_each_field(&mut |path, schema| {
        let text = schema["description"].as_str().unwrap_or_default();
        if let Some(default) = schema.get("default").filter(|default| !default.is_object()) {
            let default = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            let said = text.replace('`', "").contains(&format!("Default: {default}"));
            assert!(said || path.contains(".status."), "{path}: the text does not say `Default: {default}`");
        }
    });
}

#[test]
fn only_free_json_takes_null() {
    for_each_field(&mut |path, schema| {
        let free = schema["x-kubernetes-preserve-unknown-fields"] == true && schema["type"].is_null();
        assert_eq!(schema["nullable"] == true, free, "{path}");
        assert!(schema["type"].is_string() || free, "{path} has no type");
    });
}

#[test]
fn enum_values_are_camel_case() {
    for_each_field(&mut |path, schema| {
        for value in schema["enum"].as_array().into_iter().flatten() {
            let text = value.as_str().unwrap();
            let camel =
                text.starts_with(|c: char| c.is_ascii_uppercase()) && text.chars().all(char::is_alphanumeric);
            assert!(camel, "{path}: {text}");
        }
    });
}

#[test]
fn every_rule_says_what_to_do() {
    for_each_field(&mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            assert!(rule["message"].as_str().is_some_and(|text| text.len() > 20), "{path}: {rule}");
        }
    });
}

#[test]
fn every_rule_points_at_a_field() {
    for_each_field(&mut |path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let field =
                rule["fieldPath"].as_str().map(|field| format!("/properties{}", field.replace('.', "/")));
            assert!(field.is_none_or(|field| schema.pointer(&field).is_some()), "{path}: {rule}");
        }
    });
}

#[test]
fn definitions_fit_the_annotation_of_kubectl_apply() {
    for crd in crds() {
        let size = serde_json::to_vec(&crd).unwrap().len();
        assert!(size < ANNOTATION_LIMIT / 2, "{:?} takes {size} bytes", crd.metadata.name);
    }
}

#[test]
fn kinds_are_found_by_category_and_short_name() {
    let names: Vec<_> = crds().into_iter().map(|crd| crd.spec.names).collect();
    let short: Vec<_> = names.iter().flat_map(|names| names.short_names.clone().unwrap()).collect();
    assert_eq!(short, ["dwf", "dwr", "art", "dtool"]);
    assert!(names.iter().all(|names| names.categories.as_deref() == Some(&["dise".to_owned()])));
}
