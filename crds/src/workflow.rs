//! The kind `Workflow`.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
        .message("metadata.name: use at most 40 lower-case letters, digits and hyphens, starting with a letter, because a Service gets this name")
        .field_path(".metadata.name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.steps.map(step, has(step.options) ? step.options.map(option, has(option.function) && has(option.function.source) ? size(option.function.source) : 0).sum() : 0).sum() <= 524288")
        .message("steps: the inline sources add up to more than 524288 characters; move code into Tools")
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
        .message("after: a step cannot wait for itself; remove its own name")
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
    /// without source.
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
    validation = Rule::new("has(self.function) != has(self.tool)")
        .message("options: set exactly one of function and tool in every option")
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
    /// The code, at most 65536 characters. Default: the code is missing and the step cannot run until it is
    /// written.
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

/// Where a workflow is served.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.replicas)")
        .message("serving.replicas: only mode Dedicated has replicas; set mode: Dedicated or remove replicas")
        .field_path(".replicas").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.resources)")
        .message("serving.resources: only mode Dedicated has resources; set mode: Dedicated or remove resources")
        .field_path(".resources").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.nodeSelector)")
        .message("serving.nodeSelector: only mode Dedicated has a nodeSelector; set mode: Dedicated or remove nodeSelector")
        .field_path(".nodeSelector").reason(Reason::FieldValueForbidden),
    validation = Rule::new("self.mode == 'Dedicated' || !has(self.runtimeClassName)")
        .message("serving.runtimeClassName: only mode Dedicated has a runtimeClassName; set mode: Dedicated or remove runtimeClassName")
        .field_path(".runtimeClassName").reason(Reason::FieldValueForbidden)
)]
pub struct Serving {
    /// `Shared`: the namespace's one executor Deployment serves the workflow together with the others.
    /// `Dedicated`: the workflow gets an executor Deployment of its own. Default: Shared.
    #[serde(default)]
    pub mode: ServingMode,
    /// Number of executor pods, 0 to 100; only with mode Dedicated. Default: 1. Set it if a
    /// HorizontalPodAutoscaler shall scale the workflow, since the scale subresource needs a value to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub replicas: Option<i32>,
    /// CPU and memory of an executor pod; only with mode Dedicated. Default: what the operator is configured
    /// with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Up to 16 labels that a node must have to run an executor pod; only with mode Dedicated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::node_selector")]
    pub node_selector: BTreeMap<String, String>,
    /// Name of the RuntimeClass of the executor pods; only with mode Dedicated. Default: the cluster's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub runtime_class_name: Option<String>,
}

/// Whose executor pods serve a workflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ServingMode {
    /// Those of the namespace.
    #[default]
    Shared,
    /// Those of the workflow alone.
    Dedicated,
}

/// CPU and memory of a pod.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.requests) || !has(self.requests.cpu) || !has(self.limits) || !has(self.limits.cpu) || quantity(self.requests.cpu).compareTo(quantity(self.limits.cpu)) <= 0")
        .message("resources.requests.cpu: must not exceed resources.limits.cpu; lower the request or raise the limit")
        .field_path(".requests"),
    validation = Rule::new("!has(self.requests) || !has(self.requests.memory) || !has(self.limits) || !has(self.limits.memory) || quantity(self.requests.memory).compareTo(quantity(self.limits.memory)) <= 0")
        .message("resources.requests.memory: must not exceed resources.limits.memory; lower the request or raise the limit")
        .field_path(".requests")
)]
pub struct Resources {
    /// What the scheduler reserves for a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<ResourceAmounts>,
    /// What a pod may use at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceAmounts>,
}

/// Amounts of CPU and memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAmounts {
    /// Cores, for example `"2"`, `"0.5"` or `"500m"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::cpu")]
    pub cpu: Option<String>,
    /// Bytes with an optional suffix, for example `"512Mi"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::memory")]
    pub memory: Option<String>,
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

/// What DiSE observed and measured about a workflow. A number that was not measured is absent.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`: executors serve the workflow as declared. `Verified`: every step has code that passed its
    /// examples and checks. `Reconciling`: DiSE is working towards the declared state. `Stalled`: a person must
    /// act, the message says how.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// Digest of the plan that the executors were told to serve: `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::digest")]
    pub plan_hash: Option<String>,
    /// Measured quality, a decimal string from `"0"` to `"1"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quality")]
    pub quality: Option<String>,
    /// 95th percentile of an execution's latency, in milliseconds: a decimal string such as `"1.84"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::millis")]
    pub p95_latency_ms: Option<String>,
    /// Measured cost of an execution in US dollars: a decimal string such as `"0.0004"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub cost_usd_per_run: Option<String>,
    /// How often the workflow was executed, failures included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub executions: Option<i64>,
    /// When the workflow was executed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_execution_time: Option<Time>,
    /// The step that takes most of an execution's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<Bottleneck>,
    /// State of each step, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<StepStatus>,
    /// Executor pods of the workflow's own Deployment; only with mode Dedicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replicas: Option<i32>,
    /// Label selector of those pods, for autoscalers; only with mode Dedicated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
}

/// The step that takes most of an execution's time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bottleneck {
    /// Name of the step.
    #[schemars(length(max = 40))]
    pub step: String,
    /// Its share of the execution's time in percent, 0 to 100.
    #[schemars(range(min = 0, max = 100))]
    pub time_percent: i32,
}

/// State of one step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Name of the step.
    #[schemars(length(max = 40))]
    pub name: String,
    /// Name of the option that the plan uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub active_option: Option<String>,
    /// Name of the Artifact behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub artifact: Option<String>,
    /// Which generation of the step's code this is, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub generation: Option<i64>,
    /// Cases passed of all cases, for example `12/12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 21))]
    pub tests: Option<String>,
    /// `Pending`: waits for code, a Tool or another step. `Verifying`: tests are running. `Ready`: has code
    /// that passed. `Failed`: no option passed its tests.
    #[serde(default)]
    #[schemars(schema_with = "StepState::schema")]
    pub state: StepState,
}

/// What is happening with a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum StepState {
    /// Waits for code, a Tool or another step.
    #[default]
    Pending,
    /// Tests are running.
    Verifying,
    /// Has code that passed.
    Ready,
    /// No option passed its tests.
    Failed,
    /// A state of a newer release.
    #[serde(other)]
    Unknown,
}

impl StepState {
    /// All states: a newer release widens this enum in the CRD before it writes a new value.
    fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string", "enum": ["Pending", "Verifying", "Ready", "Failed", "Unknown"],
        })
    }
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
