//! The messages between runner pods and the operator's `/v1` API. JSON, camelCase.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/plans?revision=R&waitSeconds=S` | – | [`PlanList`], at once when its revision is not `R` |
//! | `GET /v1/blobs/{digest}` | – | the bytes |
//! | `PUT /v1/verifications/{digest}` | [`VerificationReport`](crate::verification::VerificationReport) | 204 |
//! | `GET /v1/runs/{name}` | – | [`RunAssignment`] |
//! | `PUT /v1/runs/{name}/result` | [`RunResult`] | 204 |
//! | `PUT /v1/usage/{boot}` | [`UsageReport`] | 204 |
//! | `GET /v1/syntheses/{digest}/recall` | – | [`Recollection`] |
//! | `POST /v1/syntheses/{digest}/calls/{call}` | [`CallClaim`] | [`CallGrant`] |
//! | `PUT /v1/syntheses/{digest}/calls/{call}` | [`CallOutcome`] | 204 |
//! | `PUT /v1/syntheses/{digest}/progress` | [`Progress`] | 204 |
//! | `PUT /v1/syntheses/{digest}/report` | [`SynthesisReport`](crate::synthesis::SynthesisReport) | 204 |
//! | `PUT /v1/probes/{digest}` | [`ProbeReport`], about a [`ProbeRequest`] | 204 |
//! | `POST /v1/search` | [`SearchQuery`] | [`SearchResult`] |
//!
//! Every request carries the pod's projected service-account token, audience [`AUDIENCE`]. The namespace is
//! the token's; a pod that belongs to one workflow is confined to it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    function::{Function, Language},
    money::Usd,
    quality::Quality,
    synthesis::ModelTool,
};

/// The audience that a runner's service-account token must be bound to.
pub const AUDIENCE: &str = "dise-operator";

/// The plans that a caller may serve now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanList {
    /// Opaque; changes whenever `plans` does.
    pub revision: String,
    /// Workflow name → digest of its plan, which is a blob.
    pub plans: BTreeMap<String, Digest>,
}

/// What a run's pod shall execute.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunAssignment {
    /// The run's unique id, echoed in its result.
    pub run_id: String,
    /// The workflow to run.
    pub workflow: String,
    /// The plan to run, a blob.
    pub plan: Digest,
    /// The input.
    pub input: Value,
    /// Wall-clock seconds that are left for the execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u32>,
}

/// What a run came to. Also the body of a successful `POST /v1/run`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunResult {
    /// Unique id of the execution.
    pub run_id: String,
    /// The plan that was executed.
    pub plan: Digest,
    /// The result; absent when the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed; absent when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RunError>,
    /// Share of the checks that held; absent when the workflow has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// What the execution cost.
    pub cost_usd: Usd,
    /// Wall-clock milliseconds of the execution, to the microsecond.
    pub latency_ms: f64,
    /// The steps that were executed, in the order in which they ended.
    pub steps: Vec<StepResult>,
}

/// Why an execution failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunError {
    /// A CamelCase word for conditions and metrics.
    pub reason: String,
    /// The step that failed, if it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// A sentence for a person.
    pub message: String,
}

/// What one step of an execution came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepResult {
    /// The step.
    pub name: String,
    /// The option that was used.
    pub option: String,
    /// The Artifact behind it.
    pub artifact: String,
    /// Wall-clock milliseconds, to the microsecond.
    pub latency_ms: f64,
    /// What it cost.
    pub cost_usd: Usd,
    /// Checks that held, of how many.
    pub checks_passed: u32,
    /// Checks that were evaluated.
    pub checks_total: u32,
}

/// What a runner process has executed since it started. The counters only grow, so the newest report of a
/// process replaces its older ones and the sum over processes is exact.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageReport {
    /// The pod that reports.
    pub pod: String,
    /// By workflow name.
    pub workflows: BTreeMap<String, WorkflowUsage>,
}

/// Counters of one workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowUsage {
    /// Executions that ended, failed ones included.
    pub executions: u64,
    /// Executions that failed.
    pub failures: u64,
    /// Executions whose checks were evaluated.
    pub quality_samples: u64,
    /// Sum of their qualities.
    pub quality_sum: f64,
    /// What they cost.
    pub cost_usd: Usd,
    /// By Artifact name.
    pub artifacts: BTreeMap<String, ArtifactUsage>,
}

/// Counters of one artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactUsage {
    /// How often it was executed.
    pub uses: u64,
    /// When it was executed last.
    pub last_used: Timestamp,
}

/// What an executor serves, as it answers at `GET /v1/workflows`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServingReport {
    /// Workflow name → state.
    pub workflows: BTreeMap<String, ServingState>,
}

/// The state of one workflow in one executor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServingState {
    /// The plan that answers requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Digest>,
    /// Why a newer plan could not be taken up; the former one goes on serving.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Functions that may solve a task already, the most promising first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recollection {
    /// The functions.
    pub functions: Vec<Recalled>,
}

/// A function in the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recalled {
    /// The Artifact that holds it.
    pub artifact: String,
    /// What it does.
    pub description: String,
    /// The code.
    pub function: Function,
    /// What its generation had cost; absent when it was not generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<Usd>,
}

/// Asks for leave to call a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallClaim {
    /// The most that the call can cost.
    pub at_most: Usd,
}

/// Whether a model may be called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallGrant {
    /// The money is reserved.
    Granted,
    /// The same call was made before; this is its answer.
    Answered(CallAnswer),
    /// Another pod is making the same call; ask again.
    Held {
        /// In how many seconds.
        retry_after_seconds: u32,
    },
    /// It could exceed a budget.
    Refused {
        /// Which, in a sentence.
        message: String,
        /// When that budget is renewed; absent when it never is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
}

/// How a call of a model ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CallOutcome {
    /// There is an answer, which is stored, so that it is never paid for again.
    Answered(CallAnswer),
    /// It certainly was not charged.
    NotCharged,
    /// It may have been charged: what was reserved stays booked.
    MaybeCharged,
}

/// What a model answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallAnswer {
    /// The text.
    pub text: String,
    /// Tokens of the prompt.
    pub input_tokens: u64,
    /// Tokens of the answer.
    pub output_tokens: u64,
    /// What it cost.
    pub cost_usd: Usd,
    /// Whether the text ends where the model meant to end it.
    pub complete: bool,
}

/// How a search stands, in a sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// The sentence.
    pub message: String,
}

/// Asks whether a model answers. A blob, like the requests of all Jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeRequest {
    /// The model.
    pub model: ModelTool,
    /// Whether it turns text into vectors.
    pub embeds: bool,
    /// When it was asked before, so that each question is a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

/// Whether a model answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProbeReport {
    /// When it was asked.
    pub at: Timestamp,
    /// Whether it can be used.
    pub ready: bool,
    /// What was found, as the CamelCase word of a condition.
    pub reason: String,
    /// What it said, or why it cannot be used, in a sentence.
    pub message: String,
}

/// What to look for in the memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SearchQuery {
    /// Words, or what they shall mean.
    #[serde(default)]
    pub text: String,
    /// What the hits must fit exactly.
    #[serde(default)]
    pub filter: SearchFilter,
    /// How many hits, at most 100. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// What the hits of a search must fit exactly; what is empty or absent is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct SearchFilter {
    /// Kinds of things, such as `Function`.
    pub kinds: Vec<String>,
    /// Languages.
    pub languages: Vec<Language>,
    /// Tags, all of them.
    pub tags: BTreeMap<String, String>,
    /// The lowest quality.
    pub min_quality: Option<Quality>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// The hits, the best first.
    pub hits: Vec<SearchHit>,
    /// Whether meaning was compared too, or words alone.
    pub by_meaning: bool,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SearchHit {
    /// Its name.
    pub name: String,
    /// What it is, such as `Function`.
    pub kind: String,
    /// The language of its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<Language>,
    /// What it does.
    pub description: String,
    /// Digest of its content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Measured share of its cases that pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Executions so far.
    pub usage: u64,
    /// What the hits are ordered by.
    pub score: f64,
    /// What the score is made of, by name.
    pub parts: BTreeMap<String, f64>,
}
