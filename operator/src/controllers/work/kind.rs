//! The kinds of work that Jobs do for the controllers.

use crate::labels::Role;

/// What a Job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Proves functions.
    Verify,
    /// Searches for code.
    Synthesize,
    /// Asks a model whether it answers.
    Probe,
}

impl Kind {
    /// What the Job's pods may ask of the API.
    #[must_use]
    pub const fn role(self) -> Role {
        match self {
            Self::Verify => Role::Verify,
            Self::Synthesize => Role::Synthesize,
            Self::Probe => Role::Probe,
        }
    }

    /// The command of `dise-runner`, and what the names of the Jobs begin with.
    #[must_use]
    pub const fn command(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Synthesize => "synth",
            Self::Probe => "probe",
        }
    }

    /// Requests in one Job. A lost pod loses at most what it had not yet reported; a search is long, and its Job holds
    /// the key of one model.
    #[must_use]
    pub const fn requests_per_job(self) -> usize {
        match self {
            Self::Verify => 64,
            Self::Synthesize | Self::Probe => 1,
        }
    }

    /// Seconds after which a Job is given up: an image that cannot be pulled, a node that never comes. A small model on
    /// a small machine may write for hours.
    #[must_use]
    pub const fn given_up_seconds(self) -> i64 {
        match self {
            Self::Verify => 1800,
            Self::Synthesize => 6 * 3600,
            Self::Probe => 300,
        }
    }

    /// How often a pod is replaced within one Job. A lost node or an operator that is away are survived by that.
    #[must_use]
    pub const fn pod_retries(self) -> i32 {
        match self {
            Self::Verify | Self::Synthesize => 4,
            Self::Probe => 1,
        }
    }

    /// The work in a sentence: `Job j …`.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Verify => "runs the tests",
            Self::Synthesize => "searches for code",
            Self::Probe => "asks the model",
        }
    }
}
