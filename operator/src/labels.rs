//! Labels and annotations that DiSE puts on the objects it makes.

use kube::api::ObjectMeta;

/// Who made an object; the value is [`MANAGER`].
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGER: &str = "dise";
/// What a pod does: the values of [`Role`].
pub const ROLE: &str = "dise.dev/role";
/// The workflow that an object belongs to; absent where it serves all of the namespace.
pub const WORKFLOW: &str = "dise.dev/workflow";
/// The executor that a pod belongs to: [`SHARED`], or the name of the workflow that has it for itself.
pub const EXECUTOR: &str = "dise.dev/executor";
/// The value of [`EXECUTOR`] for the executor of a namespace. No workflow can have this name, which is reserved.
pub const SHARED: &str = "shared.dise.dev";
/// The run that a Job belongs to.
pub const RUN: &str = "dise.dev/run";
/// The plan that a run executes, or the requests that a Job answers.
pub const BLOBS: &str = "dise.dev/blobs";

/// When a person asked for another search for code that was not found: any text that was not there before.
pub const RETRY: &str = "dise.dev/retry";

/// What a runner pod does, and so what it may ask of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Serves plans.
    Executor,
    /// Verifies functions.
    Verify,
    /// Searches for code.
    Synthesize,
    /// Asks a model whether it answers.
    Probe,
    /// Executes one run.
    Run,
}

impl Role {
    /// The value of the label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Verify => "verify",
            Self::Synthesize => "synthesize",
            Self::Probe => "probe",
            Self::Run => "run",
        }
    }

    /// The role that a label names.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        [Self::Executor, Self::Verify, Self::Synthesize, Self::Probe, Self::Run]
            .into_iter()
            .find(|role| role.as_str() == label)
    }
}

/// A label of an object.
#[must_use]
pub fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}

/// An annotation of an object.
#[must_use]
pub fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}
