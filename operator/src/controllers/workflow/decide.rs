//! What follows from the proofs of a workflow's steps. Pure.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use dise_core::{
    digest::Digest,
    function::Function,
    profile::WorkflowProfile,
    synthesis::{self, SynthesisReport},
    verification::VerificationReport,
    workflow::{Compiled, Fault, Missing, MissingCode, Request},
};

use dise_crds::ServingMode;
use jiff::Timestamp;

use super::{observe::Proof, search::Search};
use crate::controllers::{describe_failures, probe::Uptake};

/// How soon executors are asked again after they refused a plan.
const ASK_AGAIN_REFUSED: Duration = Duration::from_secs(10);
/// How soon a Service of somebody else, which is not watched, is looked at again.
const LOOK_AT_SERVICE: Duration = Duration::from_secs(10);
/// How often a workflow whose executor changes is looked at.
const CHANGE_MODE: Duration = Duration::from_secs(1);
/// How often a settled workflow is looked at although nothing changed.
const RESYNC: Duration = Duration::from_mins(10);

/// An option whose code passed everything.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Passed {
    pub(super) step: String,
    pub(super) option: String,
    pub(super) function: Function,
    /// The digest of the request that it answered.
    pub(super) request: Digest,
    pub(super) report: Arc<VerificationReport>,
    /// The search that found the code; absent when its author wrote it.
    pub(super) search: Option<Arc<SynthesisReport>>,
}

/// How a step stands that has no proven option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unproven {
    pub(super) step: String,
    /// Whether a verdict is still to come.
    pub(super) pending: bool,
    pub(super) message: String,
}

/// What the proofs of a workflow add up to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Assessment {
    /// Verdicts are still to come.
    Verifying(Vec<Unproven>),
    /// A step has no option that passed.
    Refuted(Vec<Unproven>),
    /// Every step has options that passed, in the order of preference.
    Proven(Vec<Passed>),
}

/// A plan, and how far it has come.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Planned {
    pub(super) plan: Digest,
    pub(super) active: Vec<Active>,
    /// Absent while a step was never measured.
    pub(super) profile: Option<WorkflowProfile>,
    pub(super) rollout: Rollout,
    /// Replicas of the workflow's own executor, if it has one.
    pub(super) replicas: Option<i32>,
    /// Whose executor pods have the workflow now.
    pub(super) serving_mode: ServingMode,
    /// Whether those are not yet the ones that are declared.
    pub(super) changes_mode: bool,
}

/// The option that a plan uses for a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Active {
    pub(super) step: String,
    pub(super) option: String,
    pub(super) artifact: String,
    pub(super) generation: i64,
    pub(super) tests: String,
}

/// How far the executors have come with a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rollout {
    /// The Service's name belongs to somebody else.
    ServiceTaken,
    /// The executors were not yet told: the status that tells them is only being written.
    Announced,
    /// What the executors say.
    Told {
        uptake: Uptake,
        /// Why no pod is ready, if a pod gives a reason.
        trouble: Option<String>,
    },
    /// The workflow wants no replicas.
    ScaledToZero,
}

/// What a reconcile came to.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// The declaration is wrong.
    Invalid(Vec<Fault>),
    /// Code or a Tool is not there.
    Missing(Vec<Missing>),
    /// Steps have no code yet that a model shall write; the searches for it.
    Unwritten(Vec<Search>),
    /// Tests are running.
    Verifying(Vec<Unproven>),
    /// A step has no option that passed.
    Refuted(Vec<Unproven>),
    /// The object store does not answer, so that a change cannot be taken up.
    StoreUnavailable,
    /// There is a plan.
    Planned(Box<Planned>),
}

impl Outcome {
    /// When to look again although nothing changed; `ask_again` says when executors that are busy taking a plan up are
    /// asked again.
    pub(super) fn look_again(&self, now: Timestamp, ask_again: impl FnOnce() -> Duration) -> Duration {
        let planned = match self {
            Self::Planned(planned) => planned,
            Self::Unwritten(searches) => {
                return renewal(searches, now).map_or(RESYNC, |wait| wait.min(RESYNC));
            }
            _ => return RESYNC,
        };
        match &planned.rollout {
            Rollout::Told { uptake: Uptake::Complete, .. } | Rollout::ScaledToZero
                if planned.changes_mode =>
            {
                CHANGE_MODE
            }
            Rollout::Told { uptake: Uptake::Complete, .. } | Rollout::ScaledToZero => RESYNC,
            Rollout::ServiceTaken => LOOK_AT_SERVICE,
            Rollout::Told { uptake: Uptake::Refused(_), .. } => ASK_AGAIN_REFUSED,
            Rollout::Told { uptake: Uptake::Partial { .. }, .. } | Rollout::Announced => ask_again(),
        }
    }
}

/// How long until the first budget is renewed that a search ran into.
fn renewal(searches: &[Search], now: Timestamp) -> Option<Duration> {
    let until = searches.iter().filter_map(|search| match &search.state.report()?.outcome {
        synthesis::Outcome::OutOfBudget { until, .. } => *until,
        _ => None,
    });
    let wait = until.min()?.duration_since(now);
    Some(Duration::try_from(wait).unwrap_or_default().max(Duration::from_secs(1)))
}

/// What keeps a workflow from being proven: a step whose options are all without code. A step that has code for one
/// option does not wait for the others. A Tool that is missing comes first, for a person can see to it meanwhile.
pub(super) fn without_code(compiled: &Compiled, searches: &[Search]) -> Option<Outcome> {
    let waits = |step: &str| {
        let step = compiled.steps().iter().find(|candidate| candidate.name == step);
        step.is_some_and(|step| step.options.iter().all(|option| option.code.is_err()))
    };
    let unwritten = |missing: &Missing| matches!(missing.code, MissingCode::Unwritten(_));
    let missing: Vec<Missing> =
        compiled.missing().filter(|missing| waits(&missing.step) && !unwritten(missing)).collect();
    if !missing.is_empty() {
        return Some(Outcome::Missing(missing));
    }
    let waiting: Vec<Search> = searches.iter().filter(|search| waits(&search.step)).cloned().collect();
    (!waiting.is_empty()).then_some(Outcome::Unwritten(waiting))
}

/// What the proofs add up to: a step needs one option that passed; more are kept in the order of preference.
pub(super) fn assess(proofs: &[(Request<'_>, Proof)], searches: &[Search]) -> Assessment {
    let mut passed: Vec<Passed> = Vec::new();
    let mut unproven: BTreeMap<String, Vec<(bool, String)>> = BTreeMap::new();
    for (request, proof) in proofs {
        let (step, option) = (request.step.to_owned(), request.option.to_owned());
        match proof {
            Proof::Report(report) if report.is_proof() => passed.push(Passed {
                step,
                option,
                function: request.request.function.clone(),
                request: report.request,
                report: Arc::clone(report),
                search: found(searches, request),
            }),
            Proof::Report(report) => {
                let message = format!("option {option}: {}", describe_failures(report));
                unproven.entry(step).or_default().push((false, message));
            }
            Proof::Pending(note) => unproven.entry(step).or_default().push((true, note.clone())),
        }
    }
    unproven.retain(|step, _| !passed.iter().any(|option| option.step == *step));
    let unproven: Vec<Unproven> = unproven.into_iter().map(|(step, options)| merge(step, &options)).collect();
    if unproven.is_empty() {
        Assessment::Proven(passed)
    } else if unproven.iter().any(|step| !step.pending) {
        Assessment::Refuted(unproven)
    } else {
        Assessment::Verifying(unproven)
    }
}

/// The search that found the code of an option.
fn found(searches: &[Search], request: &Request<'_>) -> Option<Arc<SynthesisReport>> {
    let of = |search: &&Search| search.step == request.step && search.option == request.option;
    searches.iter().find(of)?.state.report().cloned()
}

/// A step is refuted once all its options are.
fn merge(step: String, options: &[(bool, String)]) -> Unproven {
    let pending = options.iter().find(|(pending, _)| *pending);
    let message = pending.map_or_else(
        || options.iter().map(|(_, message)| message.as_str()).collect::<Vec<_>>().join("; "),
        |(_, message)| message.clone(),
    );
    Unproven { step, pending: pending.is_some(), message }
}

#[cfg(test)]
mod tests {
    use dise_core::{
        function::{Language, Limits},
        verification::{CaseFailure, VerificationRequest},
    };
    use serde_json::json;

    use super::*;

    fn request<'a>(step: &'a str, option: &'a str) -> Request<'a> {
        let function = Function { language: Language::Python, source: format!("{step}{option}") };
        let request = VerificationRequest {
            function,
            output: json!(true),
            examples: Vec::new(),
            checks: Vec::new(),
            limits: Limits::default(),
        };
        Request { step, option, request }
    }

    fn report(passed: u32, failed: u32) -> Proof {
        Proof::Report(Arc::new(VerificationReport {
            passed,
            failed,
            failures: vec![CaseFailure { example: 0, message: "expected 1, got 2".into() }],
            ..VerificationReport::new(Digest::of(b"r"), Digest::of(b"f"), "test", Timestamp::UNIX_EPOCH)
        }))
    }

    fn pending() -> Proof {
        Proof::Pending("Job j runs the tests".into())
    }

    #[test]
    fn waits_for_verdicts_that_are_still_to_come() {
        let proofs = [(request("a", "code"), report(1, 0)), (request("b", "code"), pending())];
        let Assessment::Verifying(steps) = assess(&proofs, &[]) else { panic!("not verifying") };
        assert_eq!(steps.iter().map(|step| step.step.as_str()).collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn says_at_once_that_a_step_has_failed_and_shows_the_case() {
        let proofs = [(request("a", "code"), report(1, 1)), (request("b", "code"), pending())];
        let Assessment::Refuted(steps) = assess(&proofs, &[]) else { panic!("not refuted") };
        assert!(steps[0].message.contains("1 of 2 examples failed: example 0: expected 1, got 2"));
    }

    #[test]
    fn serves_a_step_by_the_option_that_passed() {
        let proofs = [(request("a", "fast"), report(0, 1)), (request("a", "safe"), report(1, 0))];
        let Assessment::Proven(passed) = assess(&proofs, &[]) else { panic!("not proven") };
        assert_eq!(passed.iter().map(|option| option.option.as_str()).collect::<Vec<_>>(), ["safe"]);
    }

    #[test]
    fn refutes_a_step_only_when_all_its_options_failed() {
        let proofs = [(request("a", "fast"), report(0, 1)), (request("a", "safe"), pending())];
        assert!(matches!(assess(&proofs, &[]), Assessment::Verifying(_)));
        let proofs = [(request("a", "fast"), report(0, 1)), (request("a", "safe"), report(0, 1))];
        assert!(matches!(assess(&proofs, &[]), Assessment::Refuted(_)));
    }
}
