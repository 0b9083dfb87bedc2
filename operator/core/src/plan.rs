//! Plans: what an executor needs to serve a workflow. Immutable, named by the digest of their canonical JSON.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    function::{Language, Limits},
    profile::Profile,
    verification::Check,
};

/// Version of the plan's shape. An executor refuses a plan of a version that it does not know.
pub const PLAN_FORMAT: u32 = 1;

/// A compiled workflow: steps in an order in which they can run, each with a proven option.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// See [`PLAN_FORMAT`].
    pub format: u32,
    /// The namespace of the workflow.
    pub namespace: String,
    /// The name of the workflow.
    pub workflow: String,
    /// What the workflow is for, shown in the OpenAPI document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// JSON Schema of a run's input.
    pub input: Value,
    /// The steps; each depends only on earlier ones.
    pub steps: Vec<PlanStep>,
    /// Template of a run's output.
    pub result: Value,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStep {
    /// Unique in the workflow.
    pub name: String,
    /// The steps that must end first, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<String>,
    /// Template of the step's input.
    pub input: Value,
    /// JSON Schema of the step's output.
    pub output: Value,
    /// Predicates over `input` and `output`, evaluated on every execution.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
    /// What one call may use.
    pub limits: Limits,
    /// The proven ways to get the step done, the preferred first. Never empty.
    pub options: Vec<PlanOption>,
}

/// A proven way to get a step done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanOption {
    /// Unique in the step.
    pub name: String,
    /// The language of the function.
    pub language: Language,
    /// The function's digest; its source is the blob of that name.
    pub function: Digest,
    /// The name of the Artifact that proves it.
    pub artifact: String,
    /// Which generation of the step's code this is, counted from 1.
    pub generation: i64,
    /// What verification measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

impl Plan {
    /// The plan's name.
    ///
    /// # Errors
    /// A schema or template that canonical JSON cannot hold.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }
}
