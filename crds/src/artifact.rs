//! The kind `Artifact`.
#![expect(unreachable_pub, reason = "KubeSchema copies each struct into a function body")]
#![allow(clippy::duplicated_attributes, reason = "printer columns repeat the names of their attributes")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{schema, shared::Language};

/// One generation of code, with its proof. Immutable.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "dise.dev",
    version = "v1alpha1",
    kind = "Artifact",
    namespaced,
    status = "ArtifactStatus",
    derive = "PartialEq",
    derive = "Default",
    shortname = "art",
    category = "dise",
    selectable = ".spec.workflow",
    doc = "An Artifact is one generation of a step's code, with the proof that it works and what was measured \
           about it. DiSE writes Artifacts; their spec cannot be changed, and their content is kept in the \
           object store.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Quality",
        type_ = "string",
        json_path = ".status.profile.quality",
        description = "Measured share of cases passed, 0 to 1."
    ),
    printcolumn(
        name = "Tests",
        type_ = "string",
        json_path = ".status.tests",
        description = "Cases passed of all cases."
    ),
    printcolumn(
        name = "Uses",
        type_ = "integer",
        json_path = ".status.usageCount",
        description = "Executions so far."
    ),
    printcolumn(
        name = "P95",
        type_ = "string",
        json_path = ".status.profile.p95LatencyMs",
        description = "95th percentile of latency in milliseconds."
    ),
    printcolumn(
        name = "Gen",
        type_ = "integer",
        json_path = ".status.generation",
        description = "Generation of the step's code, counted from 1."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self == oldSelf")
        .message("the spec of an Artifact cannot be changed; create another Artifact with this one as its parent")
        .reason(Reason::FieldValueForbidden),
    validation = Rule::new("has(self.source) || has(self.sourceRef)")
        .message("the content is nowhere to be found; set source or sourceRef")
        .reason(Reason::FieldValueRequired)
)]
pub struct ArtifactSpec {
    /// What the content is. `Function`: code that maps one JSON value to another. `Prompt`: what a language model is
    /// told. `Test`: further cases for a function.
    #[serde(rename = "type")]
    pub type_: ArtifactType,
    /// Language of the code.
    pub language: Language,
    /// What the code does, at most 4096 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 4096))]
    pub description: String,
    /// Up to 16 words about the code, by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::tags")]
    pub tags: BTreeMap<String, String>,
    /// Digest of language and content: `sha256:` and 64 hex digits. Equal digests behave equally.
    #[schemars(schema_with = "schema::digest")]
    pub digest: String,
    /// Key of the content in the object store, at most 1024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub source_ref: Option<String>,
    /// The content, if it has at most 65536 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = schema::SOURCE_MAX))]
    pub source: Option<String>,
    /// Digest of the verification that the code was put to: its examples, checks, output schema and limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::digest")]
    pub tests_digest: Option<String>,
    /// Name of the Artifact that this one was made from. Default: it has no parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub parent: Option<String>,
    /// Where the code comes from.
    pub origin: Origin,
    /// Name of the Workflow that it belongs to. Default: it belongs to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub workflow: Option<String>,
    /// Name of the step that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub step: Option<String>,
    /// Name of the option that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label")]
    pub option: Option<String>,
}

/// What an Artifact's content is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ArtifactType {
    /// Code that maps one JSON value to another.
    #[default]
    Function,
    /// What a language model is told.
    Prompt,
    /// Further cases for a function.
    Test,
}

/// Where an Artifact's content comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// `Authored`: a person wrote it. `Synthesis`: a model wrote it for this step. `Reuse`: it was in the memory already
    /// and passed this step's cases as it is; `parent` is where it was found.
    pub kind: OriginKind,
    /// Name of the Tool whose model wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub tool: Option<String>,
    /// Digest of the prompt that the model answered: `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::digest")]
    pub prompt: Option<String>,
    /// What the search for it cost in US dollars: a decimal string such as `"0.0123"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub cost_usd: Option<String>,
    /// What was not spent because it did not have to be generated, in US dollars: what its own generation had cost.
    /// Only with kind `Reuse`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub saved_usd: Option<String>,
}

/// How an Artifact came to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum OriginKind {
    /// A person wrote it.
    #[default]
    Authored,
    /// A model wrote it for this step.
    Synthesis,
    /// It was in the memory already.
    Reuse,
}

/// What DiSE found out about an Artifact. A number that was not measured is absent.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArtifactStatus {
    /// The `metadata.generation` that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub observed_generation: Option<i64>,
    /// `Verified`: the code passed all its cases. `Promoted`: a plan uses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
    /// What the verification found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Cases passed of all cases, for example `12/12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 21))]
    pub tests: Option<String>,
    /// What was measured about the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<MeasuredProfile>,
    /// How often the code was executed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub usage_count: Option<i64>,
    /// When the code was executed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Time>,
    /// Which generation of the step's code this is, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub generation: Option<i64>,
    /// How often another step took this code instead of having its own generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reuse_count: Option<i64>,
    /// What those steps did not have to spend, in US dollars: a decimal string such as `"0.0123"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::usd")]
    pub saved_usd: Option<String>,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verification {
    /// Cases passed.
    #[schemars(range(min = 0))]
    pub passed: i64,
    /// Cases failed.
    #[schemars(range(min = 0))]
    pub failed: i64,
    /// Share of the code's statements that the cases executed, in percent: a decimal string from `"0"` to
    /// `"100"`; absent where it cannot be measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::percent")]
    pub coverage_percent: Option<String>,
    /// When the verification ended.
    pub at: Time,
    /// Version of the runner that ran the code.
    #[schemars(length(max = 128))]
    pub runner: String,
}

/// What was measured about code by running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeasuredProfile {
    /// Share of the cases passed, a decimal string from `"0"` to `"1"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quality")]
    pub quality: Option<String>,
    /// Lower end of the 95 % Wilson interval of `quality`: what it is at least, given so few cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::quality")]
    pub quality_lower_bound: Option<String>,
    /// Median latency in milliseconds: a decimal string such as `"0.41"`.
    #[schemars(schema_with = "schema::millis")]
    pub p50_latency_ms: String,
    /// 95th percentile of latency in milliseconds: a decimal string such as `"1.84"`.
    #[schemars(schema_with = "schema::millis")]
    pub p95_latency_ms: String,
    /// Cost of one execution in US dollars: a decimal string such as `"0.0004"`.
    #[schemars(schema_with = "schema::usd")]
    pub cost_usd: String,
    /// Peak resident memory in KiB; absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub peak_memory_kib: Option<i64>,
    /// How many executions the latencies were taken from.
    #[schemars(range(min = 0))]
    pub samples: i64,
    /// When the measurement ended.
    pub measured_at: Time,
}
