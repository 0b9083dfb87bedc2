//! The Job of a run.

use dise_core::digest::Digest;
use dise_crds::WorkflowRun;
use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::PodTemplateSpec,
};
use kube::{Resource as _, ResourceExt as _, api::ObjectMeta};

use super::decide::deadline;
use crate::{
    config::Settings,
    controllers::build::{Runner, runner_labels},
    labels::{self, Role},
};

/// A pod that is lost with its node is replaced; functions have no side effects, so running one again does no harm.
const POD_RETRIES: i32 = 3;
/// Characters of a run's name in the name of its Job, which together with a suffix must be a label value.
const NAME_CHARACTERS: usize = 46;

/// The name of a run's Job. A run of the same name that was deleted before had another.
#[must_use]
pub(super) fn name(run: &WorkflowRun) -> String {
    let uid = Digest::of(run.uid().unwrap_or_default().as_bytes());
    let name: String = run.name_any().chars().take(NAME_CHARACTERS).collect();
    format!("{}-{}", name.trim_end_matches(['-', '.']), uid.short(10))
}

/// The Job that executes `plan` for a run.
#[must_use]
pub(super) fn build(settings: &Settings, bundle: &str, run: &WorkflowRun, plan: Digest) -> Job {
    let mut own = runner_labels(Role::Run);
    own.insert(labels::WORKFLOW.to_owned(), run.spec.workflow.clone());
    own.insert(labels::RUN.to_owned(), run.name_any());
    let annotations = [(labels::BLOBS.to_owned(), plan.to_string())];
    let mut pod = Runner {
        settings,
        bundle,
        args: vec!["run".to_owned(), format!("--name={}", run.name_any())],
        resources: settings.job_resources.clone(),
        node_selector: None,
        runtime_class: None,
        env: Vec::new(),
        model_key: None,
    }
    .pod();
    pod.restart_policy = Some("Never".to_owned());
    pod.termination_grace_period_seconds = Some(5);
    let left = deadline(run).map(|end| end.duration_since(Timestamp::now()).as_secs().max(1));
    Job {
        metadata: ObjectMeta {
            name: Some(name(run)),
            namespace: run.namespace(),
            labels: Some(own.clone()),
            annotations: Some(annotations.clone().into()),
            owner_references: run.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(POD_RETRIES),
            active_deadline_seconds: left,
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(own),
                    annotations: Some(annotations.into()),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use dise_crds::WorkflowRunSpec;

    use super::*;

    fn run(name: &str, uid: &str) -> WorkflowRun {
        let spec = WorkflowRunSpec { workflow: "triage".into(), ..WorkflowRunSpec::default() };
        let mut run = WorkflowRun::new(name, spec);
        run.metadata.uid = Some(uid.into());
        run.metadata.namespace = Some("shop".into());
        run
    }

    #[test]
    fn names_the_job_of_a_recreated_run_anew() {
        assert_ne!(name(&run("r", "1")), name(&run("r", "2")));
        assert!(name(&run(&"long.".repeat(40), "1")).len() <= 63);
    }

    #[test]
    fn pins_the_plan_and_names_the_run_for_the_api() {
        let settings = Settings::parse_from(["x", "--store-url=memory:///", "--runner-image=r"]);
        let plan = Digest::of(b"plan");
        let template = build(&settings, "PEM", &run("r", "1"), plan).spec.unwrap().template;
        let metadata = template.metadata.unwrap();
        assert_eq!(labels::annotation(&metadata, labels::BLOBS), Some(plan.to_string().as_str()));
        assert_eq!(labels::label(&metadata, labels::RUN), Some("r"));
        assert_eq!(labels::label(&metadata, labels::WORKFLOW), Some("triage"));
    }
}
