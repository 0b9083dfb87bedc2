//! Synthesis: what is asked of a search for code, and what it found.
//!
//! A [`Task`] is what the author declared and nothing else, so that equal tasks of different workflows share their
//! solution. A [`SynthesisRequest`] adds how to search: the model, the prompts and the budget.

mod front;
mod holdout;
mod memorisation;
mod report;
mod request;
mod source;
mod variation;

pub use front::{Measured, front, prefer};
pub use holdout::Holdout;
pub use memorisation::{holds_answers, memorised, quotes_inputs};
pub use report::{
    Candidate, Failing, GeneratedTest, Origin, Outcome, Solution, Spend, SynthesisReport, Verdict,
};
pub use request::{
    ModelApi, ModelTool, Pricing, Prompts, Search, SearchBudget, SecretKey, SynthesisRequest, Task,
    ToolLimits,
};
pub use variation::variations;
