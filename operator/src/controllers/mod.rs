//! The controllers. Each is five short steps: observe, decide (pure), apply, write the status, tell by Events.
//!
//! They run on the replica that holds the Lease. None of them executes generated code or waits for a model: that
//! happens in Jobs.

pub mod apply;
pub mod build;
pub mod executor;
pub mod pods;
pub mod probe;
pub mod run;
pub mod tool;
pub mod usage;
pub mod work;
pub mod workflow;

mod backoff;
mod context;
mod owner;
mod reports;
mod start;

pub use backoff::Backoff;
pub use context::{Context, Signals};
pub use owner::Owner;
pub use reports::{Reports, describe_failures};
pub use start::run_all;

/// The field manager of everything that the operator applies.
pub const FIELD_MANAGER: &str = "dise-operator";

/// Why a reconcile failed. It is tried again, later each time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The Kubernetes API refused or did not answer.
    #[error("Kubernetes API: {0}")]
    Kubernetes(#[from] kube::Error),
    /// The object store refused or did not answer.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// A value has no JSON form.
    #[error("cannot serialise: {0}")]
    Json(#[from] serde_json::Error),
    /// Proven code does not add up to a plan.
    #[error("cannot plan: {0}")]
    Plan(String),
}

impl Error {
    /// A word for metrics, from a fixed set.
    #[must_use]
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Kubernetes(_) => "kubernetes",
            Self::Store(_) => "store",
            Self::Json(_) => "json",
            Self::Plan(_) => "plan",
        }
    }
}
