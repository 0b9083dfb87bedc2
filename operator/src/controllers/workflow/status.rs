//! The status of a workflow. Pure.

use std::collections::BTreeMap;

use dise_core::{
    quality::Quality,
    wire::WorkflowUsage,
    workflow::{Fault, Missing},
};
use dise_crds::{
    Bottleneck, StepState, StepStatus, Workflow, WorkflowStatus,
    conditions::{
        READY, RECONCILING, STALLED, Status, VERIFIED, condition, is_true, remove_condition, set_condition,
    },
    decimal::millis_of_micros,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    decide::{Outcome, Planned, Rollout, Unproven},
    reason, search_status,
};
use crate::{
    controllers::{executor::build::SHARED_NAME, probe::Uptake, usage::cost_per_run},
    labels,
};

/// The longest message of a condition: `kubectl describe` should stay readable.
const MESSAGE_CHARACTERS: usize = 2000;

/// What the conditions say.
pub(super) struct Verdict {
    pub(super) ready: bool,
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Whether a person must act.
    pub(super) stalled: bool,
}

/// The status that an outcome calls for.
pub(super) fn status(
    workflow: &Workflow,
    outcome: &Outcome,
    usage: Option<&WorkflowUsage>,
    now: Timestamp,
) -> WorkflowStatus {
    let mut status = workflow.status.clone().unwrap_or_default();
    status.observed_generation = workflow.metadata.generation;
    if let Outcome::Planned(planned) = outcome {
        describe_plan(&mut status, workflow, planned);
    }
    status.steps = steps(workflow, outcome, &status.steps);
    if let Some(usage) = usage {
        describe_usage(&mut status, usage);
    }
    let mut verdict = verdict(workflow, outcome);
    enforce_goal(&mut verdict, workflow, &status);
    set_conditions(&mut status, workflow, outcome, &verdict, now);
    status
}

/// Whether a workflow is not yet ready as it is declared now. One that is goes on serving whatever happens to the store.
pub(super) fn awaits_change(workflow: &Workflow) -> bool {
    let Some(status) = &workflow.status else { return true };
    status.observed_generation != workflow.metadata.generation || !is_true(&status.conditions, READY)
}

fn describe_plan(status: &mut WorkflowStatus, workflow: &Workflow, planned: &Planned) {
    if planned.rollout != Rollout::ServiceTaken {
        status.plan_hash = Some(planned.plan.to_string());
    }
    let profile = planned.profile.as_ref();
    status.p95_latency_ms = profile.map(|profile| millis_of_micros(profile.p95_latency_us));
    if status.executions.is_none() {
        status.quality = profile.and_then(|profile| profile.quality).map(|quality| quality.to_string());
        status.cost_usd_per_run = profile.map(|profile| profile.cost_usd.to_string());
    }
    let bottleneck = profile.and_then(|profile| profile.bottleneck.as_ref());
    status.bottleneck = bottleneck
        .map(|found| Bottleneck { step: found.step.clone(), time_percent: found.time_percent.into() });
    status.serving_mode = Some(planned.serving_mode);
    status.replicas = planned.replicas;
    status.selector = planned
        .replicas
        .map(|_| format!("{}={}", labels::EXECUTOR, workflow.metadata.name.as_deref().unwrap_or_default()));
}

fn describe_usage(status: &mut WorkflowStatus, usage: &WorkflowUsage) {
    status.executions = Some(i64::try_from(usage.executions).unwrap_or(i64::MAX));
    status.cost_usd_per_run = cost_per_run(usage).or_else(|| status.cost_usd_per_run.take());
    if let Some(quality) = live_quality(usage) {
        status.quality = Some(quality.to_string());
    }
    let last = usage.artifacts.values().map(|artifact| artifact.last_used).max();
    status.last_execution_time = last.map(Time).or_else(|| status.last_execution_time.take());
}

/// The mean share of checks that held on live executions.
fn live_quality(usage: &WorkflowUsage) -> Option<Quality> {
    // Counts stay far below 2^53 and the mean is rounded to four places, so nothing is lost here.
    #[expect(clippy::cast_precision_loss)]
    let mean = (usage.quality_samples > 0).then(|| usage.quality_sum / usage.quality_samples as f64)?;
    format!("{:.4}", mean.clamp(0.0, 1.0)).parse().ok()
}

fn steps(workflow: &Workflow, outcome: &Outcome, before: &[StepStatus]) -> Vec<StepStatus> {
    let before: BTreeMap<&str, &StepStatus> = before.iter().map(|step| (step.name.as_str(), step)).collect();
    let names = workflow.spec.steps.iter().map(|step| step.name.as_str());
    names
        .map(|name| {
            let mut step = before.get(name).map(|step| (*step).clone()).unwrap_or_default();
            name.clone_into(&mut step.name);
            match outcome {
                Outcome::Planned(planned) => {
                    if let Some(active) = planned.active.iter().find(|active| active.step == name) {
                        step.active_option = Some(active.option.clone());
                        step.artifact = Some(active.artifact.clone());
                        step.generation = Some(active.generation);
                        step.tests = Some(active.tests.clone());
                        step.state = StepState::Ready;
                    }
                }
                Outcome::Verifying(unproven) | Outcome::Refuted(unproven) => {
                    step.state = match unproven.iter().find(|step| step.step == name) {
                        None => StepState::Ready,
                        Some(Unproven { pending: true, .. }) => StepState::Verifying,
                        Some(Unproven { pending: false, .. }) => StepState::Failed,
                    };
                }
                Outcome::Missing(missing) => {
                    if missing.iter().any(|missing| missing.step == name) {
                        step.state = StepState::Pending;
                    }
                }
                Outcome::Unwritten(searches) => {
                    match searches.iter().find(|search| search.step == name) {
                        Some(search) => step.state = search_status::step_state(&search.state),
                        // Its code was found and waits for that of other steps.
                        None if step.state == StepState::Generating => step.state = StepState::Pending,
                        None => {}
                    }
                }
                Outcome::Invalid(_) | Outcome::StoreUnavailable => {}
            }
            step
        })
        .collect()
}

fn verdict(workflow: &Workflow, outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Invalid(faults) => Verdict {
            ready: false,
            reason: faults.first().map_or("InvalidSpec", |fault| fault.reason.as_str()),
            message: Fault::summarize(faults),
            stalled: true,
        },
        Outcome::Missing(missing) => Verdict {
            ready: false,
            reason: missing.first().map_or(reason::CODE_MISSING, Missing::reason),
            message: missing.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
            // A Tool may come any moment; code is written by a person.
            stalled: missing.iter().any(|missing| missing.reason() == reason::CODE_MISSING),
        },
        Outcome::Unwritten(searches) => search_status::verdict(searches),
        Outcome::Verifying(steps) => {
            Verdict { ready: false, reason: reason::VERIFYING, message: describe(steps), stalled: false }
        }
        Outcome::Refuted(steps) => {
            let failed: Vec<Unproven> = steps.iter().filter(|step| !step.pending).cloned().collect();
            Verdict {
                ready: false,
                reason: reason::VERIFICATION_FAILED,
                message: describe(&failed),
                stalled: true,
            }
        }
        Outcome::StoreUnavailable => Verdict {
            ready: false,
            reason: reason::STORE_UNAVAILABLE,
            message: "the object store does not answer; the operator's log says why, and it is tried again"
                .to_owned(),
            stalled: false,
        },
        Outcome::Planned(planned) => rollout(workflow, planned),
    }
}

fn describe(steps: &[Unproven]) -> String {
    steps.iter().map(|step| format!("step {}: {}", step.step, step.message)).collect::<Vec<_>>().join("; ")
}

fn rollout(workflow: &Workflow, planned: &Planned) -> Verdict {
    let plan = planned.plan.short(12);
    let waiting =
        |message: String| Verdict { ready: false, reason: reason::ROLLING_OUT, message, stalled: false };
    match &planned.rollout {
        Rollout::ServiceTaken => Verdict {
            ready: false,
            reason: reason::SERVICE_NAME_TAKEN,
            message: format!(
                "a Service named {} exists and does not belong to this Workflow; rename the Workflow or delete it",
                workflow.metadata.name.as_deref().unwrap_or_default()
            ),
            stalled: true,
        },
        Rollout::Announced => waiting(format!("executors are being told to serve plan {plan}")),
        Rollout::ScaledToZero => waiting("serving.replicas is 0: nothing serves the workflow".to_owned()),
        Rollout::Told { uptake: Uptake::Complete, .. } => {
            let steps = planned.active.iter().map(|step| format!("{} gen {}", step.step, step.generation));
            Verdict {
                ready: true,
                reason: reason::SERVING,
                message: format!("executors serve plan {plan}: {}", steps.collect::<Vec<_>>().join(", ")),
                stalled: false,
            }
        }
        Rollout::Told { uptake: Uptake::Refused(fault), .. } => Verdict {
            ready: false,
            reason: reason::PLAN_REFUSED,
            message: format!("an executor cannot serve plan {plan}: {fault}"),
            stalled: true,
        },
        Rollout::Told { uptake: Uptake::Partial { ready: 0, .. }, trouble: Some(trouble) } => {
            waiting(format!("no pod of executor {} is ready: {trouble}", executor(workflow)))
        }
        Rollout::Told { uptake: Uptake::Partial { ready: 0, .. }, trouble: None } => {
            waiting(format!("the pods of executor {} are starting", executor(workflow)))
        }
        // How many pods have it changes several times a second, which must not be written each time.
        Rollout::Told { uptake: Uptake::Partial { .. }, .. } => {
            waiting(format!("executors are taking up plan {plan}"))
        }
    }
}

fn executor(workflow: &Workflow) -> String {
    match workflow.spec.serving.mode {
        dise_crds::ServingMode::Shared => SHARED_NAME.to_owned(),
        dise_crds::ServingMode::Dedicated => crate::controllers::executor::build::dedicated_name(
            workflow.metadata.name.as_deref().unwrap_or_default(),
        ),
    }
}

/// What is served but is not good enough is not ready.
fn enforce_goal(verdict: &mut Verdict, workflow: &Workflow, status: &WorkflowStatus) {
    let goal = workflow.spec.quality.as_ref().and_then(|goal| goal.min.parse::<Quality>().ok());
    let measured = status.quality.as_ref().and_then(|quality| quality.parse::<Quality>().ok());
    let (true, Some(goal), Some(measured)) = (verdict.ready, goal, measured) else { return };
    if measured < goal {
        *verdict = Verdict {
            ready: false,
            reason: reason::QUALITY_BELOW_GOAL,
            message: format!(
                "the measured quality is {measured}, below quality.min {goal}; the workflow goes on serving"
            ),
            stalled: true,
        };
    }
}

fn set_conditions(
    status: &mut WorkflowStatus,
    workflow: &Workflow,
    outcome: &Outcome,
    verdict: &Verdict,
    now: Timestamp,
) {
    let generation = workflow.metadata.generation;
    let mut message: String = verdict.message.chars().take(MESSAGE_CHARACTERS).collect();
    let serves_older =
        !verdict.ready && !matches!(outcome, Outcome::Planned(_)) && status.plan_hash.is_some();
    if serves_older {
        message.push_str(" (the last good plan goes on serving)");
    }
    let conditions = &mut status.conditions;
    let set = |conditions: &mut Vec<Condition>, type_: &str, holds: Status, reason: &str, message: &str| {
        set_condition(conditions, condition(type_, holds, reason, message, generation, now));
    };
    set(conditions, READY, verdict.ready.into(), verdict.reason, &message);
    let (verified, why) = match outcome {
        Outcome::Planned(_) => (Status::True, "every step has code that passed its examples and checks"),
        Outcome::Refuted(_) => (Status::False, "a step has no option that passed; see Ready"),
        Outcome::Invalid(_)
        | Outcome::Missing(_)
        | Outcome::Unwritten(_)
        | Outcome::Verifying(_)
        | Outcome::StoreUnavailable => (Status::Unknown, "not every step has been proven yet; see Ready"),
    };
    let verified_reason = if verified == Status::True { "Proven" } else { verdict.reason };
    set(conditions, VERIFIED, verified, verified_reason, why);
    if verdict.stalled {
        set(conditions, STALLED, Status::True, verdict.reason, &message);
        remove_condition(conditions, RECONCILING);
    } else if verdict.ready {
        remove_condition(conditions, STALLED);
        remove_condition(conditions, RECONCILING);
    } else {
        set(conditions, RECONCILING, Status::True, verdict.reason, &message);
        remove_condition(conditions, STALLED);
    }
}

#[cfg(test)]
mod tests {
    use dise_core::digest::Digest;
    use dise_crds::{QualityGoal, Step, WorkflowSpec, conditions::find_condition};

    use super::*;
    use crate::controllers::workflow::decide::Active;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn workflow() -> Workflow {
        let steps = vec![Step { name: "clean".into(), ..Step::default() }];
        let spec = WorkflowSpec {
            steps,
            quality: Some(QualityGoal { min: "0.75".into() }),
            ..WorkflowSpec::default()
        };
        let mut workflow = Workflow::new("triage", spec);
        workflow.metadata.generation = Some(3);
        workflow
    }

    fn planned(rollout: Rollout) -> Outcome {
        let active = Active {
            step: "clean".into(),
            option: "code".into(),
            artifact: "triage-clean-code-1".into(),
            generation: 2,
            tests: "6/6".into(),
        };
        Outcome::Planned(Box::new(Planned {
            plan: Digest::of(b"plan"),
            active: vec![active],
            profile: None,
            rollout,
            replicas: None,
            serving_mode: dise_crds::ServingMode::Shared,
            changes_mode: false,
        }))
    }

    fn told(uptake: Uptake) -> Outcome {
        planned(Rollout::Told { uptake, trouble: None })
    }

    fn ready(status: &WorkflowStatus) -> (&str, &str) {
        let ready = find_condition(&status.conditions, READY).unwrap();
        (ready.status.as_str(), ready.reason.as_str())
    }

    #[test]
    fn is_ready_when_all_executors_serve_the_plan() {
        let status = status(&workflow(), &told(Uptake::Complete), None, NOW);
        assert_eq!(ready(&status), ("True", reason::SERVING));
        assert_eq!(status.observed_generation, Some(3));
        assert_eq!(status.steps[0].tests.as_deref(), Some("6/6"));
        assert!(find_condition(&status.conditions, RECONCILING).is_none());
    }

    #[test]
    fn announces_a_plan_before_executors_have_it() {
        let status = status(&workflow(), &planned(Rollout::Announced), None, NOW);
        assert_eq!(ready(&status), ("False", reason::ROLLING_OUT));
        assert_eq!(status.plan_hash, Some(Digest::of(b"plan").to_string()));
        assert!(is_true(&status.conditions, RECONCILING));
    }

    #[test]
    fn is_unchanged_while_nothing_happens_however_much_time_passes() {
        let mut workflow = workflow();
        let outcome = told(Uptake::Partial { serving: 0, ready: 2 });
        let first = status(&workflow, &outcome, None, NOW);
        workflow.status = Some(first.clone());
        let later = NOW + jiff::SignedDuration::from_hours(1);
        let outcome = told(Uptake::Partial { serving: 1, ready: 2 });
        assert_eq!(status(&workflow, &outcome, None, later), first);
    }

    #[test]
    fn keeps_the_last_good_plan_while_a_new_declaration_fails() {
        let mut workflow = workflow();
        workflow.status = Some(status(&workflow, &told(Uptake::Complete), None, NOW));
        let failed = Unproven { step: "clean".into(), pending: false, message: "example 0: no".into() };
        let status = status(&workflow, &Outcome::Refuted(vec![failed]), None, NOW);
        assert_eq!(ready(&status), ("False", reason::VERIFICATION_FAILED));
        assert_eq!(status.plan_hash, Some(Digest::of(b"plan").to_string()));
        let message = &find_condition(&status.conditions, READY).unwrap().message;
        assert_eq!(message, "step clean: example 0: no (the last good plan goes on serving)");
        assert!(is_true(&status.conditions, STALLED));
        assert_eq!(status.steps[0].state, StepState::Failed);
    }

    #[test]
    fn says_that_a_change_waits_for_the_store_and_leaves_alone_what_is_ready() {
        let mut workflow = workflow();
        assert!(awaits_change(&workflow));
        workflow.status = Some(status(&workflow, &told(Uptake::Complete), None, NOW));
        assert!(!awaits_change(&workflow));
        workflow.metadata.generation = Some(4);
        assert!(awaits_change(&workflow));
        let status = status(&workflow, &Outcome::StoreUnavailable, None, NOW);
        assert_eq!(ready(&status), ("False", reason::STORE_UNAVAILABLE));
        assert!(is_true(&status.conditions, RECONCILING));
    }

    #[test]
    fn tells_nobody_to_serve_behind_a_service_of_somebody_else() {
        let status = status(&workflow(), &planned(Rollout::ServiceTaken), None, NOW);
        assert_eq!(ready(&status), ("False", reason::SERVICE_NAME_TAKEN));
        assert_eq!(status.plan_hash, None);
    }

    #[test]
    fn is_not_ready_below_its_quality_goal() {
        let usage = WorkflowUsage {
            executions: 10,
            quality_samples: 10,
            quality_sum: 6.0,
            ..WorkflowUsage::default()
        };
        let status = status(&workflow(), &told(Uptake::Complete), Some(&usage), NOW);
        assert_eq!(ready(&status), ("False", reason::QUALITY_BELOW_GOAL));
        assert_eq!(status.quality.as_deref(), Some("0.60"));
        assert_eq!(status.executions, Some(10));
    }

    #[test]
    fn shows_why_no_pod_is_ready() {
        let rollout = Rollout::Told {
            uptake: Uptake::Partial { serving: 0, ready: 0 },
            trouble: Some("ErrImagePull: no such image".into()),
        };
        let status = status(&workflow(), &planned(rollout), None, NOW);
        let message = &find_condition(&status.conditions, READY).unwrap().message;
        assert_eq!(message, "no pod of executor dise-executor is ready: ErrImagePull: no such image");
    }
}
