//! The search for code: recall, generate, prove, repair, choose.
//!
//! 1. Functions of the memory that may solve the task are proven as they are; the first that passes is the answer, at
//!    no cost.
//! 2. The model writes candidates. Some examples are never shown to it (`exhibit`).
//! 3. Each candidate is put in the jail and to the very proof that an author's own code is put to (`bench`). Code that
//!    passes by looking its answers up is found out (`judge`).
//! 4. The best of those that fail go back to the model with a case that they fail, for as many rounds as are allowed
//!    (`course`).
//! 5. Of the functions that pass, the one that serves is chosen by what was measured (`choose`). Test cases that the
//!    model invents weigh in that choice and in nothing else (`generated`).
//!
//! Every call of the model is claimed before and settled after it (`calls`). What is asked depends on the request and the
//! answers alone, so a search that was interrupted runs through its stored answers and goes on where it was. The decisions
//! are values in, values out; `search` carries them out.

mod bench;
mod calls;
mod choose;
mod code;
mod course;
mod desk;
mod dialogue;
mod exhibit;
mod flaw;
mod generated;
mod judge;
mod notation;
mod progress;
mod prompt;
mod search;
mod signature;

use dise_models::ModelError;

use crate::{sync::client::OperatorError, verify::VerifyError};

pub use bench::Bench;
pub use desk::Desk;
pub use search::search;

/// Why a search came to no report. Started again, it goes on with the answers that are stored.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The operator could not be asked.
    #[error(transparent)]
    Desk(#[from] OperatorError),
    /// The model could not be asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Candidates could not be proven.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The task cannot be named or asked about.
    #[error("the request is malformed: {0}")]
    Request(String),
    /// A prompt is no template, or wants what there is not.
    #[error("the prompt `{name}` is unusable: {message}")]
    Prompt {
        /// Which one.
        name: &'static str,
        /// What is wrong with it.
        message: String,
    },
}
