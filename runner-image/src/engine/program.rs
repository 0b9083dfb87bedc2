//! Programs: plans ready for execution.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::{
    digest::Digest,
    function::Limits,
    workflow::{Predicate, Schema, Template},
};
use serde_json::Value;

use super::{failure::Failure, function::Lease};
use crate::{
    metrics::{Series, StepSeries, WorkflowSeries},
    usage::{ArtifactCounters, WorkflowCounters},
    workers::Workers,
};

/// What the engine itself may take of an execution.
const OVERHEAD: Duration = Duration::from_millis(250);

/// A plan with everything compiled and every handle resolved, so that an execution looks nothing up.
pub struct Program {
    pub(crate) digest: Digest,
    pub(crate) workflow: Arc<str>,
    pub(crate) input: Arc<Schema>,
    pub(crate) steps: Box<[Step]>,
    pub(crate) result: Template,
    pub(crate) budget: Duration,
    /// The plan as JSON, a tenth of the size of the parsed one. Only the `OpenAPI` document needs it again.
    pub(crate) document: Bytes,
    pub(crate) workers: Arc<Workers>,
    pub(crate) series: Arc<WorkflowSeries>,
    pub(crate) counters: Arc<WorkflowCounters>,
}

/// A step of a program.
pub(crate) struct Step {
    pub(crate) name: String,
    /// How many steps must end first.
    pub(crate) waits_for: usize,
    /// The steps that wait for this one.
    pub(crate) unblocks: Box<[usize]>,
    pub(crate) input: Template,
    pub(crate) output: Arc<Schema>,
    pub(crate) checks: Box<[Predicate]>,
    pub(crate) limits: Limits,
    pub(crate) option: String,
    pub(crate) artifact: String,
    pub(crate) function: Arc<Lease>,
    pub(crate) series: Arc<StepSeries>,
    pub(crate) uses: Arc<ArtifactCounters>,
}

impl Program {
    /// The plan's name.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The workflow that it is the plan of.
    #[must_use]
    pub fn workflow(&self) -> &str {
        &self.workflow
    }

    /// The plan itself, as JSON.
    #[must_use]
    pub fn document(&self) -> &Bytes {
        &self.document
    }

    /// When an execution that starts now must have ended: after `wanted`, else after what its steps may take and
    /// a little for the engine, so that a step which exceeds its own limit is told that.
    #[must_use]
    pub fn deadline(&self, wanted: Option<Duration>) -> Instant {
        Instant::now() + wanted.unwrap_or(self.budget + OVERHEAD)
    }

    /// Whether the workflow can be executed with this input.
    ///
    /// # Errors
    /// Where and why the input breaks the workflow's schema.
    pub fn check_input(&self, input: &Value) -> Result<(), Failure> {
        self.input
            .check(input)
            .map_err(|violation| Failure::invalid_input(violation.pointer, violation.message))
    }

    /// The blobs that it was made of.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        let functions = self.steps.iter().map(|step| step.function.callable().digest());
        std::iter::once(self.digest).chain(functions)
    }

    /// The handles of its metrics, for [`Metrics::linger`](crate::metrics::Metrics::linger).
    pub fn series(&self) -> impl Iterator<Item = Series> {
        let steps = self.steps.iter().map(|step| Arc::clone(&step.series) as Series);
        std::iter::once(Arc::clone(&self.series) as Series).chain(steps)
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({} of {})", self.digest, self.workflow)
    }
}
