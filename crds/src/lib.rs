//! The Kubernetes API of DiSE, group `dise.dev`, version `v1alpha1`.
//!
//! One module per kind. The doc comments of the types are what `kubectl explain` shows, so they are written for
//! users. [`crds`] yields the definitions; `crdgen` writes them and the API reference.
//!
//! Rules that all kinds follow: no floats and no unsigned integers; qualities, money and latencies are decimal
//! strings; every string, list and map is bounded, because the API server rejects CEL rules whose cost it cannot
//! bound. Types of a `status` deserialize leniently, so that an object written by a newer release never stalls a
//! watch.

pub mod artifact;
pub mod conditions;
mod convert;
mod crd;
pub mod decimal;
mod schema;
mod search;
pub mod shared;
pub mod tool;
pub mod workflow;
pub mod workflow_run;

pub use artifact::{
    Artifact, ArtifactSpec, ArtifactStatus, ArtifactType, MeasuredProfile, Origin, OriginKind, Verification,
};
pub use crd::crds;
pub use shared::{Example, Language};
pub use tool::{
    Constraints, Llm, LlmApi, Script, SecretKeyRef, TokenPrices, Tool, ToolSpec, ToolStatus, ToolType,
};
pub use workflow::{
    Bottleneck, Budget, Evolution, FailedCandidate, FunctionCode, OutputCheck, QualityGoal, ResourceAmounts,
    Resources, SearchStatus, Serving, ServingMode, SpendStatus, Step, StepOption, StepState, StepStatus,
    Synthesis, Workflow, WorkflowSpec, WorkflowStatus,
};
pub use workflow_run::{OutputRef, RunStep, WorkflowRun, WorkflowRunSpec, WorkflowRunStatus};

/// The API group of all kinds.
pub const GROUP: &str = "dise.dev";
/// The API version of all kinds.
pub const VERSION: &str = "v1alpha1";
