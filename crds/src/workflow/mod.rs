//! The kind `Workflow`.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat the names of their attributes")]

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

mod serving;
mod status;
mod synthesis;

pub use serving::{ResourceAmounts, Resources, Serving, ServingMode};
pub use status::{
    Bottleneck, FailedCandidate, SearchStatus, SpendStatus, StepState, StepStatus, WorkflowStatus,
};
pub use synthesis::{Budget, Synthesis};

use crate::{
    schema,
    shared::{Example, Language},
};

/// What shall be done: the steps, what each takes and returns, and how good the whole must be.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "dise.dev",
    version = "v1alpha1",
    kind = "Workflow",
    namespaced,
    status = "WorkflowStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "dwf",
    category = "dise",
    doc = "A Workflow declares steps that turn an input into a result. DiSE proves the code of every step with \
           its examples and checks, and serves only what passed. A Workflow's name is also the name of its \
           Service.",
    scale(
        spec_replicas_path = ".spec.serving.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the workflow can be run as declared."
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why it is ready or not.",
        priority = 1
    ),
    printcolumn(
        name = "Quality",
        type_ = "string",
        json_path = ".status.quality",
        description = "Measured share of checks that hold, 0 to 1."
    ),
    printcolumn(
        name = "Cost/Run",
        type_ = "string",
        json_path = ".status.costUsdPerRun",
        description = "Measured US dollars per execution."
    ),
    printcolumn(
        name = "P95",
        type_ = "string",
        json_path = ".status.p95LatencyMs",
        description = "95th percentile of an execution's latency in milliseconds."
    ),
    printcolumn(
        name = "Runs",
        type_ = "integer",
        json_path = ".status.executions",
        description = "Executions so far."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = Rule::new("size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must have at most 40 lower-case letters, digits and hyphens and start with a letter, because a Service gets this name; choose another name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.steps.map(step, has(step.options) ? step.options.map(option, has(option.__function__) && has(option.__function__.source) ? size(option.__function__.source) : 0).sum() : 0).sum() <= 524288")
        .message("the sources in steps add up to more than 524288 characters; move code into Tools")
        .field_path(".steps")
)]
pub struct WorkflowSpec {
    /// What the workflow is for, at most 4096 characters. Shown in its OpenAPI document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    /// Up to 16 words about the workflow, by key, for example `domain: sentiment`. Keys and values have at most
    /// 63 characters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    pub tags: BTreeMap<String, String>,
    /// JSON Schema (draft 2020-12) of an execution's input. Default: any input is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::json_schema_object")]
    pub input: Option<Value>,
    /// The steps, 1 to 64. A step runs when the steps that its input refers to and those in its `after` have
    /// ended; steps that do not depend on each other run at the same time.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<Step>,
    /// Template of the result: any JSON in which strings may hold `${…}` expressions (CEL) over `input` and
    /// `steps.<name>`. Default: the output of the last step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub result: Option<Value>,
    /// How good the workflow must be. Default: no demand beyond passing all examples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualityGoal>,
    /// How code is generated for steps that have none.
    #[serde(default)]
    pub synthesis: Synthesis,
    /// What generating code may cost.
    #[serde(default)]
    pub budget: Budget,
    /// Where the workflow is served.
    #[serde(default)]
    pub serving: Serving,
    /// How the workflow's code changes over time.
    #[serde(default)]
    pub evolution: Evolution,
}

/// One step of a workflow.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.after) || !self.after.exists(name, name == self.name)")
        .message("a step cannot wait for itself; remove its own name from after")
        .field_path(".after")
)]
pub struct Step {
    /// Name of the step, unique in the workflow: at most 40 lower-case letters, digits and hyphens, starting
    /// with a letter. Expressions refer to it as `steps.<name>`, or `steps["<name>"]` if it has a hyphen.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// What the step does, at most 4096 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    /// Template of the step's input: any JSON in which strings may hold `${…}` expressions (CEL) over `input`
    /// and `steps.<name>`. A string that is one expression yields a typed value. Default: the workflow's input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::any_json")]
    pub input: Option<Value>,
    /// JSON Schema (draft 2020-12) that every output must fit. Default: any output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::json_schema_object")]
    pub output: Option<Value>,
    /// Up to 256 cases that the code must pass before it serves.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub examples: Vec<Example>,
    /// Up to 32 predicates that must hold for every example before the code serves. They are evaluated on live
    /// executions too, where the share that holds is the quality.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<OutputCheck>,
    /// Up to 16 ways to get the step done, the preferred first. Default: one Python function named `code`
    /// without source, which is generated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub options: Vec<StepOption>,
    /// Names of up to 63 steps that must end first although no expression refers to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::step_names")]
    pub after: Vec<String>,
    /// Seconds that one call may take, 1 to 3600. Default: 30.
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 1, max = 3600))]
    pub timeout_seconds: i32,
    /// Memory that one call may use, in MiB, 32 to 65536. Default: 256.
    #[serde(default = "default_memory_mib")]
    #[schemars(range(min = 32, max = 65_536))]
    pub memory_mib: i32,
}

/// A predicate over a step's `input` and `output`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OutputCheck {
    /// Name of the check, unique in the step: at most 40 lower-case letters, digits and hyphens, starting with
    /// a letter. Shown in reports, conditions and metrics.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// A CEL expression over `input` and `output` that yields a bool, at most 4096 characters, for example
    /// `output.label in ['positive', 'negative']`.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
}

/// One way to get a step done: a function or a tool.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    // `function` is reserved in CEL; Kubernetes escapes it.
    validation = Rule::new("has(self.__function__) != has(self.tool)")
        .message("set exactly one of function and tool")
)]
pub struct StepOption {
    /// Name of the option, unique in the step: at most 40 lower-case letters, digits and hyphens, starting
    /// with a letter.
    #[schemars(schema_with = "schema::label")]
    pub name: String,
    /// Code of this workflow's own. Exactly one of `function` and `tool` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionCode>,
    /// Name of a Tool in the same namespace whose code is used. Exactly one of `function` and `tool` is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub tool: Option<String>,
}

/// Code that maps one JSON value to another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FunctionCode {
    /// Language of the code. `Python`: the source defines `run(input)`, whose argument and result are JSON
    /// values. `Bash`: the script reads JSON on standard input and writes JSON to standard output.
    pub language: Language,
    /// The code, at most 65536 characters. Default: it is generated, see `spec.synthesis`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::SOURCE_MAX))]
    pub source: Option<String>,
}

/// How good a workflow must be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct QualityGoal {
    /// The lowest acceptable quality: a decimal string from `"0"` to `"1"` with at most four places, for
    /// example `"0.75"`.
    #[schemars(schema_with = "schema::quality")]
    pub min: String,
}

/// How a workflow's code changes over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evolution {
    /// How many generations of each step's code are kept as Artifacts, the active one included, 1 to 50.
    /// Default: 5.
    #[serde(default = "default_keep_generations")]
    #[schemars(range(min = 1, max = 50))]
    pub keep_generations: i32,
}

impl Default for Step {
    fn default() -> Self {
        Self {
            name: String::new(),
            description: String::new(),
            input: None,
            output: None,
            examples: Vec::new(),
            checks: Vec::new(),
            options: Vec::new(),
            after: Vec::new(),
            timeout_seconds: default_timeout_seconds(),
            memory_mib: default_memory_mib(),
        }
    }
}

impl Default for Evolution {
    fn default() -> Self {
        Self { keep_generations: default_keep_generations() }
    }
}

const fn default_timeout_seconds() -> i32 {
    30
}

const fn default_memory_mib() -> i32 {
    256
}

const fn default_keep_generations() -> i32 {
    5
}
