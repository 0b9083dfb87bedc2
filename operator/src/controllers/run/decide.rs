//! What a run's status should be, given what was observed. Pure.

use std::time::Duration;

use dise_core::{digest::Digest, wire::RunResult};
use dise_crds::{
    OutputRef, RunStep, WorkflowRun, WorkflowRunStatus,
    conditions::{ACCEPTED, SUCCEEDED, Status, condition, find_condition, set_condition},
    decimal::millis,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{api::batch::v1::Job, apimachinery::pkg::apis::meta::v1::Time};

use crate::controllers::work::{batch::Phase, job::phase};

/// Bytes of a result that fit the status; a larger one is kept in the object store.
pub(super) const OUTPUT_BYTES: usize = 32 << 10;
/// How often a run that waits is looked at although nothing changed.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// How soon a pod that does not start is looked at for the reason.
const LOOK_AT_POD: Duration = Duration::from_secs(10);

/// What is known about a run that has not ended.
pub(super) enum Observed {
    /// Its workflow does not exist.
    NoWorkflow,
    /// Its workflow has no plan yet.
    NoPlan {
        /// What the workflow says about itself.
        why: String,
    },
    /// Its workflow has a plan, and there is no Job yet.
    Plan {
        /// The plan.
        plan: Digest,
        /// What is wrong with the input.
        violation: Option<String>,
    },
    /// There is a Job, and no result.
    Job {
        /// The Job.
        job: Box<Job>,
        /// Why its pod does not start.
        trouble: Option<String>,
    },
    /// The result has arrived.
    Result {
        /// The result.
        result: Box<RunResult>,
        /// Where its output is kept, and its size in bytes, when it is large.
        output_ref: Option<(Digest, usize)>,
    },
}

/// What to do besides writing the status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// Create the Job that executes this plan.
    Start {
        /// The plan.
        plan: Digest,
    },
    /// Nothing.
    Wait {
        /// When to look again although nothing changed.
        look_again: Option<Duration>,
    },
    /// The run has ended.
    End,
}

/// When a run must have ended, if it has a deadline.
#[must_use]
pub fn deadline(run: &WorkflowRun) -> Option<Timestamp> {
    let created = run.metadata.creation_timestamp.as_ref()?.0;
    Some(created + SignedDuration::from_secs(run.spec.deadline_seconds?.into()))
}

/// When a run ended, if it has.
pub(super) fn ended(run: &WorkflowRun) -> Option<Timestamp> {
    let status = run.status.as_ref()?;
    let succeeded = find_condition(&status.conditions, SUCCEEDED)?;
    (succeeded.status != Status::Unknown.as_str())
        .then(|| status.completion_time.as_ref().map_or(succeeded.last_transition_time.0, |time| time.0))
}

/// The status of a run and what to do.
pub(super) fn decide(
    run: &WorkflowRun,
    observed: &Observed,
    now: Timestamp,
) -> (WorkflowRunStatus, Decision) {
    let mut report = Report { run, status: run.status.clone().unwrap_or_default(), now };
    report.status.observed_generation = run.metadata.generation;
    let overdue = deadline(run).is_some_and(|end| end <= now);
    let decision = match observed {
        Observed::Result { result, output_ref } => report.result(result, *output_ref),
        Observed::Job { job, trouble } => report.job(job, trouble.as_deref()),
        _ if overdue => {
            report.end(false, "DeadlineExceeded", "the run's deadline passed before it could start")
        }
        Observed::NoWorkflow => {
            let name = &run.spec.workflow;
            report.wait(
                "WorkflowNotFound",
                &format!("there is no Workflow {name} in this namespace; waiting for it"),
            )
        }
        Observed::NoPlan { why } => {
            report.wait("WorkflowNotReady", &format!("Workflow {} cannot run yet: {why}", run.spec.workflow))
        }
        Observed::Plan { violation: Some(violation), .. } => {
            report.set(ACCEPTED, Status::False, "InvalidInput", violation);
            report.end(false, "InvalidInput", violation)
        }
        Observed::Plan { plan, violation: None } => {
            report.set(ACCEPTED, Status::True, "Accepted", "the workflow takes the input");
            report.set(SUCCEEDED, Status::Unknown, "Running", "the run's Job was created");
            report.status.start_time = Some(Time(now));
            Decision::Start { plan: *plan }
        }
    };
    (report.status, decision)
}

struct Report<'a> {
    run: &'a WorkflowRun,
    status: WorkflowRunStatus,
    now: Timestamp,
}

impl Report<'_> {
    fn set(&mut self, type_: &str, status: Status, reason: &str, message: &str) {
        let new = condition(type_, status, reason, message, self.run.metadata.generation, self.now);
        set_condition(&mut self.status.conditions, new);
    }

    fn wait(&mut self, reason: &str, message: &str) -> Decision {
        self.set(ACCEPTED, Status::Unknown, reason, message);
        self.set(SUCCEEDED, Status::Unknown, reason, message);
        let left = deadline(self.run).and_then(|end| Duration::try_from(end.duration_since(self.now)).ok());
        Decision::Wait { look_again: Some(left.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)) }
    }

    fn end(&mut self, succeeded: bool, reason: &str, message: &str) -> Decision {
        self.set(SUCCEEDED, Status::from(succeeded), reason, message);
        self.status.completion_time = Some(Time(self.now));
        Decision::End
    }

    fn job(&mut self, job: &Job, trouble: Option<&str>) -> Decision {
        self.set(ACCEPTED, Status::True, "Accepted", "the workflow takes the input");
        if self.status.start_time.is_none() {
            self.status.start_time.clone_from(&job.metadata.creation_timestamp);
        }
        match phase(job) {
            Phase::Active => {
                let message = trouble.map_or_else(
                    || "the run's Job is at work".to_owned(),
                    |trouble| format!("the run's pod cannot start: {trouble}"),
                );
                self.set(SUCCEEDED, Status::Unknown, "Running", &message);
                Decision::Wait { look_again: Some(LOOK_AT_POD) }
            }
            Phase::Ended { failure: Some(failure), .. } if failure.starts_with("DeadlineExceeded") => {
                self.end(false, "DeadlineExceeded", "the run did not end before its deadline")
            }
            Phase::Ended { failure, .. } => {
                let why = failure.unwrap_or_else(|| "it ended without a result".to_owned());
                let message = format!("the run's Job failed: {why}; its pod's log says more");
                self.end(false, "JobFailed", &message)
            }
        }
    }

    fn result(&mut self, result: &RunResult, output_ref: Option<(Digest, usize)>) -> Decision {
        self.set(ACCEPTED, Status::True, "Accepted", "the workflow takes the input");
        self.status.quality = result.quality.map(|quality| quality.to_string());
        self.status.cost_usd = Some(result.cost_usd.to_string());
        self.status.latency_ms = Some(millis(result.latency_ms));
        self.status.steps = result.steps.iter().map(RunStep::from).collect();
        match output_ref {
            Some((digest, size)) => {
                let size_bytes = i64::try_from(size).unwrap_or(i64::MAX);
                self.status.output_ref = Some(OutputRef { digest: digest.to_string(), size_bytes });
            }
            None => self.status.output.clone_from(&result.output),
        }
        match &result.error {
            None => self.end(true, "Succeeded", "the run ended with a result"),
            Some(error) => {
                let place = error.step.as_ref().map(|step| format!("step {step}: ")).unwrap_or_default();
                self.end(false, &error.reason, &format!("{place}{}", error.message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dise_core::{money::Usd, wire::RunError};
    use dise_crds::WorkflowRunSpec;
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn run(deadline_seconds: Option<i32>) -> WorkflowRun {
        let spec =
            WorkflowRunSpec { workflow: "triage".into(), deadline_seconds, ..WorkflowRunSpec::default() };
        let mut run = WorkflowRun::new("r", spec);
        run.metadata.creation_timestamp = Some(Time(NOW));
        run
    }

    fn succeeded(status: &WorkflowRunStatus) -> (&str, &str) {
        let found = find_condition(&status.conditions, SUCCEEDED).unwrap();
        (found.status.as_str(), found.reason.as_str())
    }

    fn result(error: Option<RunError>) -> Observed {
        let output = error.is_none().then(|| json!({"label": "positive"}));
        let result = RunResult {
            run_id: "u".into(),
            plan: Digest::of(b"p"),
            output,
            error,
            quality: None,
            cost_usd: Usd::ZERO,
            latency_ms: 1.84,
            steps: Vec::new(),
        };
        Observed::Result { result: Box::new(result), output_ref: None }
    }

    #[test]
    fn waits_for_a_workflow_that_may_come() {
        let (status, decision) = decide(&run(None), &Observed::NoWorkflow, NOW);
        assert_eq!(succeeded(&status), ("Unknown", "WorkflowNotFound"));
        assert!(matches!(decision, Decision::Wait { look_again: Some(_) }));
    }

    #[test]
    fn gives_up_waiting_at_the_deadline() {
        let late = NOW + SignedDuration::from_secs(5);
        let (status, decision) = decide(&run(Some(5)), &Observed::NoWorkflow, late);
        assert_eq!(succeeded(&status), ("False", "DeadlineExceeded"));
        assert_eq!(decision, Decision::End);
    }

    #[test]
    fn refuses_an_input_that_does_not_fit_and_starts_nothing() {
        let observed =
            Observed::Plan { plan: Digest::of(b"p"), violation: Some("/text: not a string".into()) };
        let (status, decision) = decide(&run(None), &observed, NOW);
        assert_eq!(decision, Decision::End);
        assert_eq!(succeeded(&status), ("False", "InvalidInput"));
        assert_eq!(find_condition(&status.conditions, ACCEPTED).unwrap().status, "False");
    }

    #[test]
    fn starts_with_the_plan_of_the_moment() {
        let observed = Observed::Plan { plan: Digest::of(b"p"), violation: None };
        let (status, decision) = decide(&run(None), &observed, NOW);
        assert_eq!(decision, Decision::Start { plan: Digest::of(b"p") });
        assert_eq!(succeeded(&status), ("Unknown", "Running"));
    }

    #[test]
    fn reports_result_and_numbers() {
        let (status, _) = decide(&run(None), &result(None), NOW);
        assert_eq!(succeeded(&status), ("True", "Succeeded"));
        assert_eq!(status.output, Some(json!({"label": "positive"})));
        assert_eq!(status.latency_ms.as_deref(), Some("1.84"));
        assert_eq!(ended(&WorkflowRun { status: Some(status), ..run(None) }), Some(NOW));
    }

    #[test]
    fn names_the_step_that_failed() {
        let error = RunError {
            reason: "FunctionRaised".into(),
            step: Some("score".into()),
            message: "ZeroDivisionError".into(),
        };
        let (status, _) = decide(&run(None), &result(Some(error)), NOW);
        assert_eq!(succeeded(&status), ("False", "FunctionRaised"));
        let message = &find_condition(&status.conditions, SUCCEEDED).unwrap().message;
        assert_eq!(message, "step score: ZeroDivisionError");
    }

    #[test]
    fn fails_a_run_whose_job_ended_without_a_result() {
        let job: Job = serde_json::from_value(json!({
            "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]}
        }))
        .unwrap();
        let (status, decision) =
            decide(&run(None), &Observed::Job { job: Box::new(job), trouble: None }, NOW);
        assert_eq!((succeeded(&status), decision), (("False", "JobFailed"), Decision::End));
    }
}
