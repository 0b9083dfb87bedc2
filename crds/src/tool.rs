//! The kind `Tool`.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat the names of their attributes")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{schema, shared::Example};

/// Something that the steps of several workflows can use.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "dise.dev",
    version = "v1alpha1",
    kind = "Tool",
    namespaced,
    status = "ToolStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "dtool",
    category = "dise",
    doc = "A Tool is something that the steps of several Workflows can use; an option names it with `tool`. \
           Exactly the member that matches `type` is set.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether workflows can use the tool."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(self.type == 'PythonFunction') == has(self.pythonFunction)")
        .message("pythonFunction must be set when type is PythonFunction, and only then; make type and member match")
        .field_path(".pythonFunction"),
    validation = Rule::new("(self.type == 'BashScript') == has(self.bashScript)")
        .message("bashScript must be set when type is BashScript, and only then; make type and member match")
        .field_path(".bashScript")
)]
pub struct ToolSpec {
    /// What the tool is. `PythonFunction`: Python code in `pythonFunction`. `BashScript`: a script in
    /// `bashScript`.
    #[serde(rename = "type")]
    pub type_: ToolType,
    /// What the tool does, at most 4096 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    /// Python code that defines `run(input)`, whose argument and result are JSON values. Only with type
    /// `PythonFunction`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_function: Option<Script>,
    /// Script that reads JSON on standard input and writes JSON to standard output. Only with type `BashScript`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bash_script: Option<Script>,
    /// JSON Schema (draft 2020-12) that every output must fit. Default: any output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::json_schema_object")]
    pub output: Option<Value>,
    /// Up to 256 cases that the tool must pass before workflows can use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub examples: Vec<Example>,
    /// What one call may use at most. Default: what the calling step allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Constraints>,
}

/// What a Tool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ToolType {
    /// Python code.
    #[default]
    PythonFunction,
    /// A Bash script.
    BashScript,
}

/// Code of a tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Script {
    /// The code, at most 65536 characters.
    #[schemars(length(min = 1, max = schema::SOURCE_MAX))]
    pub source: String,
}

/// What one call of a tool may use at most. A step's own limits apply too; the lower one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Constraints {
    /// Seconds that one call may take, 1 to 3600. Default: what the calling step allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: Option<i32>,
    /// Memory that one call may use, in MiB, 32 to 65536. Default: what the calling step allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 32, max = 65_536))]
    pub memory_mib: Option<i32>,
}

/// What DiSE observed about a tool.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`: the tool passed its examples and workflows can use it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Digest of language and code: `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::digest")]
    pub digest: Option<String>,
}
