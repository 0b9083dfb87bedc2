//! The Job that verifies functions, and how its state is read back.

use std::collections::BTreeSet;

use dise_core::digest::Digest;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        batch::v1::{Job, JobSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::api::ObjectMeta;

use super::batch::{JobState, Phase};
use crate::{
    config::Settings,
    controllers::build::{Runner, runner_labels},
    labels::{self, Role},
};

/// Seconds that a finished Job is kept, so that failures are remembered for the delay before the next attempt.
const KEPT_SECONDS: i32 = 900;
/// Seconds after which a Job is given up: an image that cannot be pulled, a node that never comes.
const GIVEN_UP_SECONDS: i64 = 1800;
/// How often a pod is replaced within one Job. A lost node or an operator that is away are survived by that.
const POD_RETRIES: i32 = 4;

/// The Job for `requests`. Equal work has an equal name, so that it cannot be started twice.
///
/// # Errors
/// Digests always have a JSON form; the error type is that of serialisation.
pub fn build(
    settings: &Settings,
    bundle: &str,
    namespace: &str,
    requests: &BTreeSet<Digest>,
    attempt: u32,
    owners: Vec<OwnerReference>,
) -> Result<Job, serde_json::Error> {
    let name = format!("dise-verify-{}", Digest::of_json(&(requests, attempt))?.short(16));
    let list = requests.iter().map(ToString::to_string).collect::<Vec<_>>();
    let annotations = [(labels::BLOBS.to_owned(), list.join(","))];
    let mut args = vec!["verify".to_owned()];
    args.extend(list.iter().map(|request| format!("--request={request}")));
    let mut pod = Runner {
        settings,
        bundle,
        args,
        resources: settings.job_resources.clone(),
        node_selector: None,
        runtime_class: None,
        env: Vec::new(),
    }
    .pod();
    pod.restart_policy = Some("Never".to_owned());
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace.to_owned()),
            labels: Some(runner_labels(Role::Verify)),
            annotations: Some(annotations.clone().into()),
            owner_references: Some(owners),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(POD_RETRIES),
            active_deadline_seconds: Some(GIVEN_UP_SECONDS),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(runner_labels(Role::Verify)),
                    annotations: Some(annotations.into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    })
}

/// How a Job of [`build`] stands.
#[must_use]
pub fn state(job: &Job) -> JobState {
    let requests = labels::annotation(&job.metadata, labels::BLOBS).unwrap_or_default();
    JobState {
        name: job.metadata.name.clone().unwrap_or_default(),
        requests: requests.split(',').filter_map(|digest| digest.parse().ok()).collect(),
        phase: phase(job),
    }
}

/// Whether a Job has ended, and how.
#[must_use]
pub fn phase(job: &Job) -> Phase {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let ended = conditions
        .filter(|condition| condition.status == "True")
        .find(|condition| condition.type_ == "Complete" || condition.type_ == "Failed");
    let Some(condition) = ended else { return Phase::Active };
    let at = condition.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let failure = (condition.type_ == "Failed").then(|| {
        [condition.reason.as_deref(), condition.message.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(": ")
    });
    Phase::Ended { at, failure }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use k8s_openapi::{
        api::batch::v1::{JobCondition, JobStatus},
        apimachinery::pkg::apis::meta::v1::Time,
    };

    use super::*;

    fn job(attempt: u32) -> Job {
        let settings = Settings::parse_from(["x", "--store-url=memory:///", "--runner-image=runner:1"]);
        let requests = BTreeSet::from([Digest::of(b"a"), Digest::of(b"b")]);
        build(&settings, "PEM", "shop", &requests, attempt, Vec::new()).unwrap()
    }

    #[test]
    fn names_equal_work_equally_and_each_attempt_anew() {
        assert_eq!(job(0).metadata.name, job(0).metadata.name);
        assert_ne!(job(0).metadata.name, job(1).metadata.name);
    }

    #[test]
    fn reads_back_what_it_was_started_for() {
        let state = state(&job(0));
        assert_eq!(state.requests, BTreeSet::from([Digest::of(b"a"), Digest::of(b"b")]));
        assert_eq!(state.phase, Phase::Active);
    }

    #[test]
    fn tells_pods_what_they_may_read() {
        let template = job(0).spec.unwrap().template;
        let metadata = template.metadata.unwrap();
        assert!(
            labels::annotation(&metadata, labels::BLOBS).unwrap().contains(&Digest::of(b"a").to_string())
        );
        assert_eq!(labels::label(&metadata, labels::ROLE), Some("verify"));
    }

    #[test]
    fn gives_pods_no_kubernetes_token_and_no_privilege() {
        let pod = job(0).spec.unwrap().template.spec.unwrap();
        assert_eq!(pod.automount_service_account_token, Some(false));
        let security = pod.containers[0].security_context.as_ref().unwrap();
        assert_eq!(security.allow_privilege_escalation, Some(false));
        assert_eq!(security.read_only_root_filesystem, Some(true));
    }

    #[test]
    fn says_why_a_job_failed() {
        let failed = Job {
            status: Some(JobStatus {
                conditions: Some(vec![JobCondition {
                    type_: "Failed".into(),
                    status: "True".into(),
                    reason: Some("DeadlineExceeded".into()),
                    message: Some("Job was active longer than specified deadline".into()),
                    last_transition_time: Some(Time(Timestamp::UNIX_EPOCH)),
                    ..JobCondition::default()
                }]),
                ..JobStatus::default()
            }),
            ..job(0)
        };
        let Phase::Ended { failure: Some(failure), .. } = phase(&failed) else { panic!("not failed") };
        assert!(failure.starts_with("DeadlineExceeded: "));
    }
}
