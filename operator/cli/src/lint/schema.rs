//! What the API server checks when an object is applied: the CRD's schema, strictly, and its CEL rules.

use std::collections::BTreeMap;

use jsonschema::{
    ValidationError, Validator,
    error::{TypeKind, ValidationErrorKind},
};
use serde_json::{Map, Value, json};

use super::path::Pointer;
use crate::words::did_you_mean;

/// The longest value that a message repeats, in characters.
const ECHOED: usize = 80;

/// The schemas of all kinds.
pub(crate) struct Schemas(BTreeMap<String, Kind>);

/// The schema of one kind.
pub(crate) struct Kind {
    /// As it is in the CRD.
    declared: Value,
    /// As JSON Schema, without tolerance for unknown fields.
    strict: Value,
    validator: Validator,
    rules: kube_cel::Validator,
}

/// Something that the API server would refuse.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) pointer: Pointer,
    pub(crate) reason: &'static str,
    pub(crate) message: String,
}

impl Schemas {
    /// Those of this release.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let mut kinds = BTreeMap::new();
        for crd in dise_crds::crds() {
            let version = crd.spec.versions.into_iter().find(|version| version.name == dise_crds::VERSION);
            let schema = version.and_then(|version| version.schema?.open_api_v3_schema);
            let declared = serde_json::to_value(schema)?;
            let strict = strict_object(&declared);
            let validator = jsonschema::validator_for(&strict).map_err(|fault| anyhow::anyhow!("{fault}"))?;
            let rules = kube_cel::Validator::new();
            kinds.insert(crd.spec.names.kind, Kind { declared, strict, validator, rules });
        }
        Ok(Self(kinds))
    }

    pub(crate) fn get(&self, kind: &str) -> Option<&Kind> {
        self.0.get(kind)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl Kind {
    /// The object as the API server would store it, or what it would refuse. Rules are looked at once the types are
    /// right.
    pub(crate) fn admit(&self, object: &Value) -> Result<Value, Vec<Violation>> {
        let mut object = object.clone();
        if let Value::Object(members) = &mut object {
            // Whoever applies an object does not write its status.
            members.remove("status");
        }
        drop_nulls(&self.declared, &mut object);
        let mut violations: Vec<Violation> =
            self.validator.iter_errors(&object).flat_map(|error| self.violations(&error)).collect();
        let object = kube_cel::apply_defaults(&self.declared, &object);
        if violations.is_empty()
            && let Err(broken) = self.rules.validate(&self.declared, &object, None)
        {
            violations.extend(broken.into_vec().into_iter().map(|error| Violation {
                pointer: Pointer::of_dotted(&error.field_path),
                reason: "RuleBroken",
                message: error.message,
            }));
        }
        if violations.is_empty() { Ok(object) } else { Err(violations) }
    }

    fn violations(&self, error: &ValidationError<'_>) -> Vec<Violation> {
        let pointer = Pointer::parse(error.instance_path().as_str());
        let violation = |pointer, reason, message| Violation { pointer, reason, message };
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.siblings(error);
                let unknown = |name: &String| {
                    let message =
                        format!("there is no such field{}", did_you_mean(name, known.iter().copied()));
                    violation(pointer.member(name), "UnknownField", message)
                };
                unexpected.iter().map(unknown).collect()
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![violation(pointer.member(name), "MissingField", "the field is required".to_owned())]
            }
            ValidationErrorKind::Type { kind } => {
                let hint = quoting_hint(error.instance(), kind);
                vec![violation(pointer, "WrongType", format!("{}{hint}", describe(error)))]
            }
            _ => vec![violation(pointer, "InvalidValue", describe(error))],
        }
    }

    /// The fields that there are where an unknown one was found.
    fn siblings(&self, error: &ValidationError<'_>) -> Vec<&str> {
        let place = error.schema_path().as_str().trim_end_matches("/additionalProperties");
        let properties = self.strict.pointer(&format!("{place}/properties")).and_then(Value::as_object);
        properties.into_iter().flat_map(Map::keys).map(String::as_str).collect()
    }
}

/// The message, without a value that nobody would want to read.
fn describe(error: &ValidationError<'_>) -> String {
    let message = error.to_string();
    let short = error.instance().to_string().chars().count() <= ECHOED;
    if short { message } else { error.masked_with("the value").to_string() }
}

fn quoting_hint(value: &Value, wanted: &TypeKind) -> String {
    let text = matches!(wanted, TypeKind::Single(jsonschema::JsonType::String));
    match value {
        Value::Number(_) | Value::Bool(_) if text => format!("; put it in quotes: \"{value}\""),
        _ => String::new(),
    }
}

/// The schema of a whole object, its metadata included.
fn strict_object(declared: &Value) -> Value {
    let mut schema = strict(declared);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove("status");
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert("metadata".to_owned(), metadata());
    }
    schema["required"] = json!(["metadata", "spec"]);
    schema
}

fn metadata() -> Value {
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": text});
    let name = json!({
        "type": "string",
        "maxLength": 253,
        "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "name": name,
            "generateName": text,
            "namespace": name,
            "labels": texts,
            "annotations": texts,
            "finalizers": {"type": "array", "items": text},
            "ownerReferences": true,
            "creationTimestamp": true,
            "deletionGracePeriodSeconds": true,
            "deletionTimestamp": true,
            "generation": true,
            "managedFields": true,
            "resourceVersion": true,
            "selfLink": true,
            "uid": true,
        },
        "if": {"not": {"required": ["generateName"]}},
        "then": {"required": ["name"]},
    })
}

/// The JSON Schema that an OpenAPI schema of a CRD stands for; unknown fields are refused.
fn strict(schema: &Value) -> Value {
    let Some(members) = schema.as_object() else { return schema.clone() };
    let mut result = Map::new();
    for (key, value) in members {
        let converted = match key.as_str() {
            "properties" => Value::Object(
                value
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, schema)| (name.clone(), strict(schema)))
                    .collect(),
            ),
            "items" | "additionalProperties" => strict(value),
            "description" | "default" | "format" | "nullable" => continue,
            extension if extension.starts_with("x-kubernetes-") => continue,
            _ => whole(value),
        };
        result.insert(key.clone(), converted);
    }
    if schema["x-kubernetes-list-type"] == "set" {
        result.insert("uniqueItems".to_owned(), Value::Bool(true));
    }
    let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    if result.contains_key("properties") && !open {
        result.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    Value::Object(result)
}

/// Bounds are floats in the Kubernetes API, but people should read `1`, not `1.0`.
fn whole(value: &Value) -> Value {
    let number = value.as_f64().filter(|_| value.is_f64()).map(|number| number.to_string());
    number.and_then(|text| text.parse::<i64>().ok()).map_or_else(|| value.clone(), Value::from)
}

/// An absent value and `null` are the same unless a field takes `null`: the API server drops it.
fn drop_nulls(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(members) => {
            let field = |name: &str| {
                let known = schema["properties"].get(name);
                known.or_else(|| schema.get("additionalProperties").filter(|values| values.is_object()))
            };
            members.retain(|name, value| {
                !value.is_null() || field(name).is_none_or(|schema| schema["nullable"] == true)
            });
            for (name, value) in members {
                if let Some(schema) = field(name) {
                    drop_nulls(schema, value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| drop_nulls(&schema["items"], item)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(kind: &str, spec: &Value) -> Vec<String> {
        let object =
            json!({"apiVersion": "dise.dev/v1alpha1", "kind": kind, "metadata": {"name": "a"}, "spec": spec});
        of_object(kind, &object)
    }

    fn of_object(kind: &str, object: &Value) -> Vec<String> {
        let schemas = Schemas::new().unwrap();
        let found = schemas.get(kind).unwrap().admit(object).err().unwrap_or_default();
        let show = |violation: Violation| {
            format!("{} {}: {}", violation.reason, violation.pointer.dotted(), violation.message)
        };
        found.into_iter().map(show).collect()
    }

    #[test]
    fn names_each_field_that_the_api_server_would_refuse() {
        let step = |field: &str, value: Value| {
            let mut step = json!({"name": "s"});
            step[field] = value;
            json!({"steps": [step]})
        };
        let long = "x".repeat(65_537);
        for (spec, expected) in [
            (json!({}), "MissingField spec.steps: the field is required"),
            (
                step("optoins", json!([])),
                "UnknownField spec.steps[0].optoins: there is no such field; did you mean `options`?",
            ),
            (step("zzzzzz", json!([])), "UnknownField spec.steps[0].zzzzzz: there is no such field"),
            (
                step("timeoutSeconds", json!("5")),
                "WrongType spec.steps[0].timeoutSeconds: \"5\" is not of type \"integer\"",
            ),
            (
                step("timeoutSeconds", json!(0)),
                "InvalidValue spec.steps[0].timeoutSeconds: 0 is less than the minimum of 1",
            ),
            (
                json!({"steps": [{"name": "s"}], "quality": {"min": 0.75}}),
                "WrongType spec.quality.min: 0.75 is not of type \"string\"; put it in quotes: \"0.75\"",
            ),
            (
                step("after", json!(["s"])),
                "RuleBroken spec.steps[0].after: a step cannot wait for itself; remove its own name from after",
            ),
            (
                json!({"steps": [{"name": "s"}], "serving": {"replicas": 2}}),
                "RuleBroken spec.serving.replicas: only mode Dedicated has replicas; set mode: Dedicated or remove replicas",
            ),
            (
                step("options", json!([{"name": "o", "function": {"language": "Bash", "source": long}}])),
                "InvalidValue spec.steps[0].options[0].function.source: the value is longer than 65536 characters",
            ),
        ] {
            assert_eq!(violations("Workflow", &spec), [expected]);
        }
    }

    #[test]
    fn checks_metadata() {
        let object = |metadata: Value| json!({"metadata": metadata, "spec": {"workflow": "w"}});
        assert_eq!(of_object("WorkflowRun", &object(json!({"generateName": "a-"}))), [""; 0]);
        for (metadata, expected) in [
            (json!({}), "MissingField metadata.name: the field is required"),
            (
                json!({"name": "a", "lables": {}}),
                "UnknownField metadata.lables: there is no such field; did you mean `labels`?",
            ),
            (
                json!({"name": "a", "labels": {"v": 1}}),
                "WrongType metadata.labels.v: 1 is not of type \"string\"; put it in quotes: \"1\"",
            ),
        ] {
            assert_eq!(of_object("WorkflowRun", &object(metadata)), [expected]);
        }
    }

    #[test]
    fn takes_null_for_absent_and_any_json_where_that_is_free() {
        let spec = json!({
            "description": null,
            "input": null,
            "result": {"any": [null, {"thing": 1}]},
            "steps": [{"name": "s", "input": null, "examples": [{"input": null, "output": {"x": null}}], "after": null}],
        });
        assert_eq!(violations("Workflow", &spec), [""; 0]);
        let schemas = Schemas::new().unwrap();
        let object = json!({"metadata": {"name": "a"}, "spec": spec});
        let stored = schemas.get("Workflow").unwrap().admit(&object).unwrap();
        assert_eq!(stored["spec"]["serving"]["mode"], "Shared");
        assert_eq!(stored["spec"]["steps"][0]["examples"][0], json!({"input": null, "output": {"x": null}}));
    }
}
