//! What a search found.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    function::Function,
    money::Usd,
    verification::{CaseFailure, VerificationReport},
};

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SynthesisReport {
    /// The [`SynthesisRequest`](super::SynthesisRequest) that this answers.
    pub request: Digest,
    /// The digest of its [`Task`](super::Task).
    pub task: Digest,
    /// Version of the runner that searched.
    pub runner: String,
    /// When it ended.
    pub at: Timestamp,
    /// What it came to.
    pub outcome: Outcome,
    /// What it cost.
    pub spend: Spend,
    /// Every candidate that was tried, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
}

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// A function that passed everything.
    Found(Box<Solution>),
    /// Every candidate failed.
    NothingPassed {
        /// The one that came closest; absent when the model wrote no code at all.
        best: Option<Failing>,
    },
    /// The next call could have exceeded a budget.
    OutOfBudget {
        /// Which budget, with its numbers, in a sentence.
        message: String,
        /// When that budget is renewed; absent when it never is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
        /// The candidate that came closest so far.
        best: Option<Failing>,
    },
}

/// A function that solves a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Solution {
    /// The code.
    pub function: Function,
    /// The proof, by the very request that an author's own code is put to.
    pub proof: VerificationReport,
    /// Where the code comes from.
    pub origin: Origin,
    /// The other functions that passed and that are not worse in every respect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<Function>,
    /// Test cases that the model invented and that most of the functions that passed agree with. They cannot
    /// overrule an example.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generated_tests: Vec<GeneratedTest>,
    /// Examples that the model was never shown and that the code passed.
    pub held_out: u32,
}

/// Where a solution comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// A model wrote it.
    Generated {
        /// Name of the Tool.
        tool: String,
        /// The prompt that it answered.
        prompt: Digest,
    },
    /// It was in the memory already.
    Recalled {
        /// Name of the Artifact that holds it.
        artifact: String,
        /// What its generation had cost: what is saved by not generating it again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        saved_usd: Option<Usd>,
    },
}

/// A test case that a model invented.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GeneratedTest {
    /// The argument.
    pub input: Value,
    /// What most of the functions that passed return for it.
    pub output: Value,
    /// How many of them do.
    pub agreeing: u32,
    /// Of how many.
    pub of: u32,
}

/// A candidate that failed, in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failing {
    /// The code.
    pub function: Function,
    /// Why it is not accepted.
    pub verdict: Verdict,
    /// Cases passed.
    pub passed: u32,
    /// Cases failed.
    pub failed: u32,
    /// The failing cases, the first few of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<CaseFailure>,
}

/// A candidate in brief.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The code; absent when the answer held none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Digest>,
    /// 0: the first draft; from 1: a repair.
    pub round: u32,
    /// Temperature of the call.
    pub temperature: Decimal,
    /// Whether it was accepted.
    pub verdict: Verdict,
    /// Cases passed.
    pub passed: u32,
    /// Cases failed.
    pub failed: u32,
}

/// Whether a candidate is accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// It passed everything.
    Accepted,
    /// The answer held no code.
    NoCode {
        /// What it was instead.
        message: String,
    },
    /// The code cannot be run at all.
    Fault {
        /// Why.
        message: String,
    },
    /// It fails a case.
    Failed,
    /// It passed what it was shown and failed what it was not shown, or holds the cases in its source.
    Memorised {
        /// The evidence.
        message: String,
    },
}

/// What a search cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spend {
    /// What the calls cost, by the usage that the server reported.
    pub usd: Usd,
    /// Calls that were made.
    pub calls: u32,
    /// Answers that were stored already and cost nothing.
    pub stored_answers: u32,
    /// Tokens of the prompts.
    pub input_tokens: u64,
    /// Tokens of the answers.
    pub output_tokens: u64,
}

impl SynthesisReport {
    /// Whether the search is worth another try now although nothing was changed: its budget has been renewed.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        matches!(&self.outcome, Outcome::OutOfBudget { until: Some(until), .. } if *until <= now)
    }
}

impl Verdict {
    /// The reason as a word.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Accepted => "Accepted",
            Self::NoCode { .. } => "NoCode",
            Self::Fault { .. } => "Fault",
            Self::Failed => "Failed",
            Self::Memorised { .. } => "Memorised",
        }
    }
}
