//! Verification: what is asked of a function before it may serve, and what was found.

use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest::Digest,
    function::{Function, Limits},
    profile::Profile,
};

/// An authored case: for this input the function must return this output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Example {
    /// The argument of the function.
    pub input: Value,
    /// The result that it must return.
    pub output: Value,
}

/// A CEL predicate over `input` and `output` that must hold for every execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Names the check in reports, conditions and metrics.
    pub name: String,
    /// A CEL expression that yields a bool.
    pub expression: String,
}

/// Everything that decides whether a function may serve. Its digest names the work, so equal work is done once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationRequest {
    /// The code to prove.
    pub function: Function,
    /// JSON Schema that every output must fit.
    pub output: Value,
    /// The cases that it must pass.
    pub examples: Vec<Example>,
    /// The predicates that must hold on every case.
    pub checks: Vec<Check>,
    /// The limits that it is run under, the same as when it serves.
    pub limits: Limits,
}

impl VerificationRequest {
    /// The name of this work.
    ///
    /// # Errors
    /// An example or schema that canonical JSON cannot hold.
    pub fn digest(&self) -> Result<Digest, serde_json::Error> {
        Digest::of_json(self)
    }
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerificationReport {
    /// The [`VerificationRequest`] that this answers.
    pub request: Digest,
    /// The function that was proven or refuted.
    pub function: Digest,
    /// Version of the runner whose jail ran it.
    pub runner: String,
    /// When it ended.
    pub at: Timestamp,
    /// Why the function could not be run at all: it does not parse, has no `run`, raises on import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Cases passed.
    pub passed: u32,
    /// Cases failed.
    pub failed: u32,
    /// The failing cases, the first few of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<CaseFailure>,
    /// Share of the source's statements that the cases executed, in percent; absent where it cannot be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage_percent: Option<Decimal>,
    /// What was measured in the jail; absent when no case ran to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
}

/// A case that did not pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseFailure {
    /// Position among the examples, from 0.
    pub example: u32,
    /// What went wrong, in a sentence: the difference, the failed check, the exception, the breached limit.
    pub message: String,
}

impl VerificationReport {
    /// A report in which nothing was run yet.
    #[must_use]
    pub fn new(request: Digest, function: Digest, runner: &str, at: Timestamp) -> Self {
        Self {
            request,
            function,
            runner: runner.to_owned(),
            at,
            fault: None,
            passed: 0,
            failed: 0,
            failures: Vec::new(),
            coverage_percent: None,
            profile: None,
        }
    }

    /// Whether the function may serve.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.fault.is_none() && self.failed == 0
    }
}
