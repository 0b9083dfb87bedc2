//! Schemas of values that Rust's types do not describe closely enough.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The longest source text that an object may hold inline, in characters.
pub(crate) const SOURCE_MAX: u32 = 65_536;
/// DNS-1035: what a Service, a label and a CEL field selection can all take.
const LABEL: &str = "^[a-z]([-a-z0-9]*[a-z0-9])?$";
/// DNS-1123 subdomain: the name of an object.
const SUBDOMAIN: &str = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// Any JSON value, `null` included.
pub(crate) fn any_json(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-preserve-unknown-fields": true, "nullable": true})
}

/// A JSON Schema, which is an object.
pub(crate) fn json_schema_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A share between 0 and 1.
pub(crate) fn quality(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 6, "pattern": r"^(0(\.[0-9]{1,4})?|1(\.0{1,4})?)$"})
}

/// An amount of US dollars.
pub(crate) fn usd(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 30, "pattern": r"^[0-9]+(\.[0-9]+)?$"})
}

/// What is wrong with some code, in sentences.
pub(crate) fn failures(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 10, "items": {"type": "string", "maxLength": 1000}})
}

/// Temperatures of a model's calls.
pub(crate) fn temperatures(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "minItems": 1, "maxItems": 16,
        "items": {"type": "string", "maxLength": 5, "pattern": r"^([01](\.[0-9]{1,3})?|2(\.0{1,3})?)$"},
    })
}

/// Milliseconds, to the microsecond.
pub(crate) fn millis(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 20, "pattern": r"^[0-9]+(\.[0-9]{1,3})?$"})
}

/// A percentage.
pub(crate) fn percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 8, "pattern": r"^(100(\.0+)?|[0-9]{1,2}(\.[0-9]{1,4})?)$"})
}

/// A content address.
pub(crate) fn digest(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 71, "pattern": "^sha256:[0-9a-f]{64}$"})
}

/// The name of a workflow, a step, an option or a check.
pub(crate) fn label(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 40, "pattern": LABEL})
}

/// The name of an object.
pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "minLength": 1, "maxLength": 253, "pattern": SUBDOMAIN})
}

/// Names of steps without duplicates.
pub(crate) fn step_names(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 63, "x-kubernetes-list-type": "set", "items": label(generator),
    })
}

/// A few words about an object, by key.
pub(crate) fn tags(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "string", "maxLength": 63},
        "x-kubernetes-validations": [{
            "rule": "self.all(key, size(key) >= 1 && size(key) <= 63)",
            "message": "every key of tags must have 1 to 63 characters; choose another key",
        }],
    })
}

/// Labels that a node must have.
pub(crate) fn node_selector(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {
            "type": "string", "maxLength": 63, "pattern": "^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        },
        "x-kubernetes-validations": [{
            "rule": "self.all(key, size(key) >= 1 && size(key) <= 317)",
            "message": "every key of nodeSelector must be the name of a node label, such as kubernetes.io/arch",
        }],
    })
}

/// An amount of CPU.
pub(crate) fn cpu(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 16, "pattern": r"^([0-9]+m|[0-9]+(\.[0-9]{1,3})?)$"})
}

/// An amount of memory.
pub(crate) fn memory(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 16, "pattern": r"^[0-9]+(\.[0-9]+)?(k|M|G|T|Ki|Mi|Gi|Ti)?$"})
}

/// `metav1.Condition`s with the bounds that Kubernetes documents, as a list map keyed by type.
pub(crate) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "description": "One aspect of the object's state.",
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "description": "When `status` changed last.",
                    "type": "string", "format": "date-time",
                },
                "message": {
                    "description": "A sentence for people: what is wrong and what would fix it.",
                    "type": "string", "maxLength": 32_768,
                },
                "observedGeneration": {
                    "description": "The `metadata.generation` that the condition is about.",
                    "type": "integer", "format": "int64", "minimum": 0,
                },
                "reason": {
                    "description": "A CamelCase word for programs: why the condition has its status.",
                    "type": "string", "minLength": 1, "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                },
                "status": {
                    "description": "`True`, `False` or `Unknown`.",
                    "type": "string", "enum": ["True", "False", "Unknown"],
                },
                "type": {
                    "description": "What the condition is about, for example `Ready`.",
                    "type": "string", "maxLength": 316,
                    "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                },
            },
        },
    })
}
