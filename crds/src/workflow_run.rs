//! The kind `WorkflowRun`.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat the names of their attributes")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::schema;

/// One execution of a workflow. Immutable; delete the object to cancel the execution.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "dise.dev",
    version = "v1alpha1",
    kind = "WorkflowRun",
    namespaced,
    status = "WorkflowRunStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "dwr",
    category = "dise",
    selectable = ".spec.workflow",
    doc = "A WorkflowRun is one execution of a Workflow, with its result in the status. Its spec cannot be \
           changed; delete the object to cancel the execution.",
    printcolumn(
        name = "Succeeded",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].status"#,
        description = "Whether the execution ended well; Unknown while it runs."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Succeeded")].reason"#,
        description = "Why it succeeded or not."
    ),
    printcolumn(
        name = "Latency",
        type_ = "string",
        json_path = ".status.latencyMs",
        description = "Wall-clock milliseconds of the execution."
    ),
    printcolumn(name = "Workflow", type_ = "string", json_path = ".spec.workflow"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf")
        .message("the spec of a WorkflowRun cannot be changed; create another WorkflowRun")
        .reason(Reason::FieldValueForbidden)
)]
pub struct WorkflowRunSpec {
    /// Name of the Workflow in the same namespace.
    #[schemars(schema_with = "schema::label")]
    pub workflow: String,
    /// The input, any JSON value that fits the workflow's `input` schema. Default: null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub input: Option<Value>,
    /// Seconds from the creation of the run to its end, waiting included, 1 to 86400; a run that takes longer
    /// fails. Default: only the steps' own timeouts apply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub deadline_seconds: Option<i32>,
    /// Seconds after its end when the run is deleted, 0 to 31536000. Default: it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 31_536_000))]
    pub ttl_seconds_after_finished: Option<i32>,
}

/// What came of a run. A number that was not measured is absent.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowRunStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Accepted`: the workflow exists and takes the input. `Succeeded`: Unknown while the run goes on, then
    /// True or False for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// The result, any JSON value, if it takes at most 32 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub output: Option<Value>,
    /// Where a result of more than 32 KiB is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_ref: Option<OutputRef>,
    /// Share of the checks that held, a decimal string from `"0"` to `"1"`; absent when the workflow has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quality")]
    pub quality: Option<String>,
    /// What the execution cost in US dollars: a decimal string such as `"0.0004"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub cost_usd: Option<String>,
    /// Wall-clock milliseconds of the execution without the start of its pod: a decimal string such as
    /// `"1.84"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::millis")]
    pub latency_ms: Option<String>,
    /// When the run's Job was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When the run ended, in success or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// The steps that were executed, in the order in which they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<RunStep>,
}

/// Where a large result is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputRef {
    /// Digest of the result's bytes, which is also its address in the object store.
    #[schemars(schema_with = "schema::digest")]
    pub digest: String,
    /// Size of the result in bytes.
    #[schemars(range(min = 0))]
    pub size_bytes: i64,
}

/// What one step of a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunStep {
    /// Name of the step.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Name of the option that was used.
    #[schemars(length(max = 40))]
    pub option: String,
    /// Name of the Artifact behind it.
    #[schemars(length(max = 253))]
    pub artifact: String,
    /// Wall-clock milliseconds of the step: a decimal string such as `"1.84"`.
    #[schemars(schema_with = "schema::millis")]
    pub latency_ms: String,
    /// What the step cost in US dollars: a decimal string such as `"0.0004"`.
    #[schemars(schema_with = "schema::usd")]
    pub cost_usd: String,
}
