//! The Job that does some work, and how its state is read back.

use std::collections::BTreeSet;

use dise_core::{digest::Digest, synthesis::SecretKey};
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::PodTemplateSpec,
};
use kube::api::ObjectMeta;

use super::{
    Kind,
    batch::{JobState, Phase},
};
use crate::{
    config::Settings,
    controllers::{
        Owner,
        build::{Runner, runner_labels},
    },
    labels,
};

/// Seconds that a finished Job is kept, so that failures are remembered for the delay before the next attempt.
const KEPT_SECONDS: i32 = 900;

/// What a Job shall do, and for whom.
#[derive(Clone, Debug)]
pub struct Assignment<'a> {
    /// The kind of work.
    pub kind: Kind,
    /// Where.
    pub namespace: &'a str,
    /// What is asked.
    pub requests: &'a BTreeSet<Digest>,
    /// Which attempt this is, counted from 0.
    pub attempt: u32,
    /// Who asked. The first workflow among them pays.
    pub owners: BTreeSet<Owner>,
    /// The key of the model that it calls.
    pub secret: Option<SecretKey>,
}

/// The Job of an assignment. Equal work has an equal name, so that it cannot be started twice.
///
/// # Errors
/// Digests always have a JSON form; the error type is that of serialisation.
pub fn build(
    settings: &Settings,
    bundle: &str,
    assignment: &Assignment<'_>,
) -> Result<Job, serde_json::Error> {
    let Assignment { kind, namespace, requests, attempt, owners, secret } = assignment;
    let name = format!("dise-{}-{}", kind.command(), Digest::of_json(&(requests, attempt))?.short(16));
    let list = requests.iter().map(ToString::to_string).collect::<Vec<_>>();
    let annotations = [(labels::BLOBS.to_owned(), list.join(","))];
    let mut marks = runner_labels(kind.role());
    if let Some(payer) = owners.iter().find(|owner| owner.is_workflow()) {
        marks.insert(labels::WORKFLOW.to_owned(), payer.name.clone());
    }
    let mut args = vec![kind.command().to_owned()];
    args.extend(list.iter().map(|request| format!("--request={request}")));
    let mut pod = Runner {
        settings,
        bundle,
        args,
        resources: settings.job_resources.clone(),
        node_selector: None,
        runtime_class: None,
        env: Vec::new(),
        model_key: secret.as_ref(),
    }
    .pod();
    pod.restart_policy = Some("Never".to_owned());
    Ok(Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some((*namespace).to_owned()),
            labels: Some(marks.clone()),
            annotations: Some(annotations.clone().into()),
            owner_references: Some(owners.iter().map(Owner::reference).collect()),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(kind.pod_retries()),
            active_deadline_seconds: Some(kind.given_up_seconds()),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(marks),
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

    fn job_of(kind: Kind, attempt: u32) -> Job {
        let settings = Settings::parse_from(["x", "--store-url=memory:///", "--runner-image=runner:1"]);
        let requests = BTreeSet::from([Digest::of(b"a"), Digest::of(b"b")]);
        let owners = BTreeSet::from([Owner::tool("t", "1"), Owner::workflow("triage", "2")]);
        let secret = (kind != Kind::Verify).then(|| SecretKey { name: "keys".into(), key: "gpt".into() });
        let assignment = Assignment { kind, namespace: "shop", requests: &requests, attempt, owners, secret };
        build(&settings, "PEM", &assignment).unwrap()
    }

    fn job(attempt: u32) -> Job {
        job_of(Kind::Verify, attempt)
    }

    #[test]
    fn mounts_the_key_of_the_model_that_it_calls_and_says_who_pays() {
        let job = job_of(Kind::Synthesize, 0);
        let template = job.spec.unwrap().template;
        let pod = template.spec.unwrap();
        let volumes = pod.volumes.unwrap();
        let secrets: Vec<_> = volumes.iter().filter_map(|volume| volume.secret.as_ref()).collect();
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].secret_name.as_deref(), Some("keys"));
        assert_eq!(secrets[0].items.as_ref().unwrap()[0].key, "gpt");
        assert_eq!(labels::label(&template.metadata.unwrap(), labels::WORKFLOW), Some("triage"));
        let verify = job_of(Kind::Verify, 0).spec.unwrap().template.spec.unwrap();
        assert!(verify.volumes.unwrap().iter().all(|volume| volume.secret.is_none()));
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
