//! `status`

use anyhow::Result;
use dise_crds::{Artifact, ServingMode, Workflow};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet},
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{ResourceExt as _, api::ObjectMeta};

use super::show;
use crate::{
    cli::StatusArgs,
    cluster::{Cluster, of_workflow},
    exit::{Outcome, say},
    view::{Paint, Related, Summary, events_of, render_status, render_statuses},
};

/// How many Events are shown.
const EVENTS: usize = 10;
/// What the operator makes.
const MANAGED: &str = "app.kubernetes.io/managed-by=dise";
/// The executor label of the pods that serve a whole namespace.
const SHARED: &str = "shared.dise.dev";

pub(super) async fn status(cluster: &Cluster, args: &StatusArgs) -> Result<Outcome> {
    let (now, paint) = (Timestamp::now(), Paint::detect());
    let Some(name) = &args.workflow else {
        let workflows: Vec<Workflow> =
            if args.all_namespaces { cluster.list_everywhere().await? } else { cluster.list("").await? };
        let summaries: Vec<Summary> =
            workflows.iter().map(|workflow| Summary::new(workflow, &[], Vec::new())).collect();
        if summaries.is_empty() {
            let place = if args.all_namespaces { "any namespace" } else { &cluster.namespace };
            say(&format!(
                "there is no Workflow in {place}; `kubectl dise init NAME` writes the files of one"
            ));
        }
        show(args.output, &summaries, || render_statuses(&summaries, args.all_namespaces, now, paint))?;
        return Ok(Outcome::Well);
    };
    let workflow: Workflow = cluster.get(&name.0).await?;
    let artifacts: Vec<Artifact> = cluster.list(&of_workflow(&name.0)).await?;
    let events = recent_events(cluster, &workflow, &artifacts).await;
    let summary = Summary::new(&workflow, &artifacts, events);
    show(args.output, &summary, || render_status(&summary, now, paint))?;
    Ok(Outcome::Well)
}

/// What happened lately. Somebody who may not list all of it sees the rest.
async fn recent_events(
    cluster: &Cluster,
    workflow: &Workflow,
    artifacts: &[Artifact],
) -> Vec<crate::view::EventLine> {
    let (jobs, deployments, sets, pods, events) = tokio::join!(
        cluster.metadata::<Job>(MANAGED),
        cluster.metadata::<Deployment>(MANAGED),
        cluster.metadata::<ReplicaSet>(MANAGED),
        cluster.metadata::<Pod>(MANAGED),
        cluster.list::<Event>(""),
    );
    let mut objects: Vec<ObjectMeta> = artifacts.iter().map(|artifact| artifact.metadata.clone()).collect();
    for found in [jobs, deployments, sets, pods] {
        objects.extend(or_note(found));
    }
    let mode = workflow.status.as_ref().and_then(|status| status.serving_mode);
    let executor = match mode.unwrap_or(workflow.spec.serving.mode) {
        ServingMode::Shared => SHARED.to_owned(),
        ServingMode::Dedicated => workflow.name_any(),
    };
    let related = Related::to(&workflow.uid().unwrap_or_default(), &executor, &objects);
    events_of(&related, &or_note(events), EVENTS)
}

fn or_note<T>(found: Result<Vec<T>>) -> Vec<T> {
    found.unwrap_or_else(|fault| {
        say(&format!("some Events are not shown: {fault:#}"));
        Vec::new()
    })
}
