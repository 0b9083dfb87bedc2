//! What DiSE observed about a workflow.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ServingMode;
use crate::schema;

/// What DiSE observed and measured about a workflow. A number that was not measured is absent.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Ready`: executors serve the workflow as declared. `Synthesized`: every step that came without code has some.
    /// `Verified`: every step has code that passed its examples and checks. `Reconciling`: DiSE is working towards the declared state. `Stalled`: a person must
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
    /// What generating code has cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<SpendStatus>,
    /// The step that takes most of an execution's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bottleneck: Option<Bottleneck>,
    /// State of each step, in the order of the spec.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub steps: Vec<StepStatus>,
    /// Whose executor pods have the workflow now. Differs from `serving.mode` while a change of it is under way: the former
    /// executor goes on serving until the new one has taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving_mode: Option<ServingMode>,
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

/// What generating a workflow's code has cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SpendStatus {
    /// Since the first search, in US dollars: a decimal string such as `"0.0123"`. What is reserved for calls under way
    /// counts.
    #[schemars(schema_with = "schema::usd")]
    pub total_usd: String,
    /// What was not spent because code of the memory was used, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub saved_usd: Option<String>,
}

/// How the search for a step's code went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchStatus {
    /// What came of it: `Found`, `NothingPassed` or `OutOfBudget`.
    #[schemars(length(max = 40))]
    pub outcome: String,
    /// Candidates that were tried.
    #[schemars(range(min = 0))]
    pub candidates: i64,
    /// Calls of the model that were made.
    #[schemars(range(min = 0))]
    pub calls: i64,
    /// What it cost in US dollars.
    #[schemars(schema_with = "schema::usd")]
    pub spent_usd: String,
    /// The candidate that came closest, if none passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_candidate: Option<FailedCandidate>,
}

/// A candidate that did not pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FailedCandidate {
    /// Why it is not accepted: `Failed`, `Fault`, `NoCode` or `Memorised`.
    #[schemars(length(max = 40))]
    pub reason: String,
    /// Cases passed of all cases, for example `3/5`.
    #[schemars(length(max = 21))]
    pub tests: String,
    /// What is wrong with it: the first failing cases, the fault, or the evidence that it memorised.
    #[schemars(schema_with = "schema::failures")]
    pub failures: Vec<String>,
    /// Its code, at most 8192 characters of it.
    #[schemars(length(max = 8192))]
    pub source: String,
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
    /// How the search for its code went, if it was generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search: Option<SearchStatus>,
    /// `Pending`: waits for code, a Tool or another step. `Generating`: a model writes its code. `Verifying`: tests are
    /// running. `Ready`: has code that passed. `Failed`: no option passed its tests.
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
    /// A model writes its code.
    Generating,
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
            "type": "string", "enum": ["Pending", "Generating", "Verifying", "Ready", "Failed", "Unknown"],
        })
    }
}
