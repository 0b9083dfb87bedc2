//! What a status says about code that nobody wrote. Pure.

use dise_core::{
    budget::WorkflowAccount,
    money::Usd,
    synthesis::{self, Failing, SynthesisReport, Verdict as CandidateVerdict},
};
use dise_crds::{
    FailedCandidate, SearchStatus, SpendStatus, StepState, Workflow, WorkflowStatus,
    conditions::{SYNTHESIZED, Status, condition, remove_condition, set_condition},
};
use jiff::Timestamp;

use super::{
    reason,
    search::{NoModel, Search, State},
    status::Verdict,
};

/// Failing cases that a message shows.
const SHOWN_FAILURES: usize = 3;
/// Failing cases that a status lists.
const LISTED_FAILURES: usize = 10;
const FAILURE_CHARACTERS: usize = 500;
const SOURCE_CHARACTERS: usize = 8192;

/// What `Ready` says while steps wait for code: what a person can change comes first.
pub(super) fn verdict(searches: &[Search]) -> Verdict {
    let mut verdicts: Vec<(u8, Verdict)> = searches.iter().map(of_search).collect();
    verdicts.sort_by_key(|(urgency, _)| *urgency);
    let first = verdicts.first().map_or(0, |(urgency, _)| *urgency);
    let messages =
        verdicts.iter().filter(|(urgency, _)| *urgency == first).map(|(_, verdict)| verdict.message.as_str());
    let message = messages.collect::<Vec<_>>().join("; ");
    let (reason, stalled) = verdicts
        .first()
        .map_or((reason::GENERATING, false), |(_, verdict)| (verdict.reason, verdict.stalled));
    Verdict { ready: false, reason, message, stalled }
}

/// The state of a step whose code is searched for.
pub(super) fn step_state(state: &State) -> StepState {
    match state {
        State::Found(_) => StepState::Verifying,
        State::Searching(_) => StepState::Generating,
        State::Failed(_) => StepState::Failed,
        State::NoModel(_) => StepState::Pending,
    }
}

/// Puts into a status what is known about searches and what they have cost.
pub(super) fn describe(
    status: &mut WorkflowStatus,
    workflow: &Workflow,
    searches: &[Search],
    account: Option<&WorkflowAccount>,
    now: Timestamp,
) {
    for step in &mut status.steps {
        let report = searches.iter().find(|search| search.step == step.name);
        match report.map(|search| search.state.report()) {
            Some(Some(report)) => step.search = Some(summary(report)),
            // What the last search came to stays until the next one has ended.
            Some(None) => {}
            None => step.search = None,
        }
    }
    if searches.is_empty() {
        status.spend = None;
        remove_condition(&mut status.conditions, SYNTHESIZED);
        return;
    }
    let saved: Usd = searches.iter().filter_map(Search::saved).sum();
    status.spend = Some(SpendStatus {
        total_usd: account.map(|account| account.total).unwrap_or_default().to_string(),
        saved_usd: (saved > Usd::ZERO).then(|| saved.to_string()),
    });
    let open = |search: &&Search| !matches!(search.state, State::Found(_));
    let pending: Vec<Search> = searches.iter().filter(open).cloned().collect();
    let (holds, why, message) = if pending.is_empty() {
        (Status::True, reason::FOUND, found(searches))
    } else {
        let Verdict { reason, message, stalled, .. } = verdict(&pending);
        (if stalled { Status::False } else { Status::Unknown }, reason, message)
    };
    let generation = workflow.metadata.generation;
    set_condition(&mut status.conditions, condition(SYNTHESIZED, holds, why, message, generation, now));
}

fn of_search(search: &Search) -> (u8, Verdict) {
    let Search { step, option, state } = search;
    let verdict = |reason, message: String, stalled| Verdict {
        ready: false,
        reason,
        message: format!("step {step}, option {option}: {message}"),
        stalled,
    };
    match state {
        State::Failed(report) => (0, failed(report, verdict)),
        State::NoModel(NoModel::None) => {
            let message = "it has no code, and the namespace has no model to write it: create a Tool of type LocalLlm, \
                           name a Tool in `synthesis.tool`, or give the step a `function.source`";
            (1, verdict(reason::CODE_MISSING, message.to_owned(), true))
        }
        State::NoModel(NoModel::Unknown(tool)) => {
            let message = format!(
                "there is no Tool `{tool}` of type LocalLlm or CloudLlm to write its code; create it or change \
                 `synthesis.tool`"
            );
            (1, verdict(reason::TOOL_NOT_FOUND, message, false))
        }
        State::NoModel(NoModel::NotReady(tool)) => {
            let message =
                format!("Tool `{tool}`, which shall write its code, is not ready; see its condition Ready");
            (1, verdict(reason::TOOL_NOT_READY, message, false))
        }
        State::Searching(note) => (2, verdict(reason::GENERATING, note.clone(), false)),
        State::Found(_) => (3, verdict(reason::GENERATING, "its code was found".to_owned(), false)),
    }
}

fn failed(report: &SynthesisReport, verdict: impl Fn(&'static str, String, bool) -> Verdict) -> Verdict {
    let spent = report.spend.usd;
    match &report.outcome {
        synthesis::Outcome::OutOfBudget { message, until, .. } => {
            let again = until.map_or_else(
                || "raise the budget to go on; answers that were paid for are kept".to_owned(),
                |until| format!("it goes on at {until:.0}"),
            );
            verdict(reason::OUT_OF_BUDGET, format!("{message}; {again}"), until.is_none())
        }
        synthesis::Outcome::NothingPassed { best } => {
            let tried = report.candidates.len();
            let best = best.as_ref().map_or_else(|| "the model wrote no code".to_owned(), best_so_far);
            let message = format!(
                "none of {tried} candidates passed (${spent} spent): {best}; make the description or the examples \
                 clearer, choose another model, or run `kubectl dise retry`"
            );
            verdict(reason::NO_CANDIDATE_PASSED, message, true)
        }
        synthesis::Outcome::Found(_) => verdict(reason::GENERATING, "its code was found".to_owned(), false),
    }
}

fn best_so_far(best: &Failing) -> String {
    let cases = failures(best).into_iter().take(SHOWN_FAILURES).collect::<Vec<_>>().join("; ");
    format!("the best passed {} of {} examples: {cases}", best.passed, best.passed + best.failed)
}

fn failures(best: &Failing) -> Vec<String> {
    let evidence = match &best.verdict {
        CandidateVerdict::Memorised { message } => Some(format!("it memorised the examples: {message}")),
        CandidateVerdict::Fault { message } | CandidateVerdict::NoCode { message } => Some(message.clone()),
        CandidateVerdict::Failed | CandidateVerdict::Accepted => None,
    };
    let cases = best.failures.iter().map(|case| format!("example {}: {}", case.example, case.message));
    let cut = |text: String| text.chars().take(FAILURE_CHARACTERS).collect();
    evidence.into_iter().chain(cases).map(cut).take(LISTED_FAILURES).collect()
}

fn found(searches: &[Search]) -> String {
    let spent: Usd =
        searches.iter().filter_map(|search| search.state.report()).map(|report| report.spend.usd).sum();
    let recalled =
        searches.iter().filter(|search| match search.state.report().map(|report| &report.outcome) {
            Some(synthesis::Outcome::Found(solution)) => {
                matches!(solution.origin, synthesis::Origin::Recalled { .. })
            }
            _ => false,
        });
    format!(
        "the code of {} options was found, {} of it in the memory; the searches cost ${spent}",
        searches.len(),
        recalled.count()
    )
}

fn summary(report: &SynthesisReport) -> SearchStatus {
    let (outcome, best) = match &report.outcome {
        synthesis::Outcome::Found(_) => ("Found", None),
        synthesis::Outcome::NothingPassed { best } => ("NothingPassed", best.as_ref()),
        synthesis::Outcome::OutOfBudget { best, .. } => ("OutOfBudget", best.as_ref()),
    };
    SearchStatus {
        outcome: outcome.to_owned(),
        candidates: i64::try_from(report.candidates.len()).unwrap_or(i64::MAX),
        calls: report.spend.calls.into(),
        spent_usd: report.spend.usd.to_string(),
        best_candidate: best.map(|best| FailedCandidate {
            reason: best.verdict.reason().to_owned(),
            tests: format!("{}/{}", best.passed, best.passed + best.failed),
            failures: failures(best),
            source: best.function.source.chars().take(SOURCE_CHARACTERS).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dise_core::{
        digest::Digest,
        function::{Function, Language},
        synthesis::{Outcome, Spend},
        verification::CaseFailure,
    };
    use dise_crds::conditions::find_condition;

    use super::*;

    fn report(outcome: Outcome) -> Arc<SynthesisReport> {
        Arc::new(SynthesisReport {
            request: Digest::of(b"r"),
            task: Digest::of(b"t"),
            runner: "test".into(),
            at: Timestamp::UNIX_EPOCH,
            outcome,
            spend: Spend { usd: "0.012".parse().unwrap(), calls: 3, ..Spend::default() },
            candidates: Vec::new(),
        })
    }

    fn search(step: &str, state: State) -> Search {
        Search { step: step.into(), option: "code".into(), state }
    }

    fn nothing() -> State {
        let best = Failing {
            function: Function { language: Language::Python, source: "def run(x): return x".into() },
            verdict: CandidateVerdict::Failed,
            passed: 1,
            failed: 1,
            failures: vec![CaseFailure { example: 1, message: "expected 2, got 1".into() }],
        };
        State::Failed(report(Outcome::NothingPassed { best: Some(best) }))
    }

    #[test]
    fn shows_the_best_candidate_its_failing_case_and_the_spend() {
        let verdict = verdict(&[search("a", State::Searching("3 of 4".into())), search("b", nothing())]);
        assert_eq!((verdict.reason, verdict.stalled), (reason::NO_CANDIDATE_PASSED, true));
        assert!(verdict.message.starts_with("step b, option code: none of 0 candidates passed ($0.012 spent): the best passed 1 of 2 examples: example 1: expected 2, got 1"), "{}", verdict.message);
    }

    #[test]
    fn puts_what_a_person_can_change_before_what_is_under_way() {
        let none = search("a", State::NoModel(NoModel::None));
        let under_way = search("b", State::Searching("Job j searches for code".into()));
        let verdict = verdict(&[under_way, none]);
        assert_eq!(verdict.reason, reason::CODE_MISSING);
        assert!(verdict.message.starts_with("step a,"), "{}", verdict.message);
    }

    #[test]
    fn waits_for_a_budget_that_is_renewed_and_stalls_on_one_that_is_not() {
        let out = |until| {
            search(
                "a",
                State::Failed(report(Outcome::OutOfBudget { message: "m".into(), until, best: None })),
            )
        };
        assert!(verdict(&[out(None)]).stalled);
        let verdict = verdict(&[out(Some(Timestamp::UNIX_EPOCH))]);
        assert!(!verdict.stalled);
        assert!(verdict.message.ends_with("m; it goes on at 1970-01-01T00:00:00Z"), "{}", verdict.message);
    }

    #[test]
    fn lists_the_failing_candidate_in_the_step() {
        let mut status = WorkflowStatus {
            steps: vec![dise_crds::StepStatus { name: "b".into(), ..Default::default() }],
            ..WorkflowStatus::default()
        };
        let workflow = Workflow::new("w", dise_crds::WorkflowSpec::default());
        let searches = [search("b", nothing())];
        describe(&mut status, &workflow, &searches, None, Timestamp::UNIX_EPOCH);
        let best = status.steps[0].search.as_ref().unwrap().best_candidate.as_ref().unwrap();
        assert_eq!((best.tests.as_str(), best.failures.len()), ("1/2", 1));
        let synthesized = find_condition(&status.conditions, SYNTHESIZED).unwrap();
        assert_eq!(
            (synthesized.status.as_str(), synthesized.reason.as_str()),
            ("False", "NoCandidatePassed")
        );
        describe(&mut status, &workflow, &[], None, Timestamp::UNIX_EPOCH);
        assert!(status.steps[0].search.is_none() && status.spend.is_none());
    }
}
