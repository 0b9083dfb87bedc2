//! Shared executors: one Deployment for each namespace that has something to serve.
//!
//! A shared executor belongs to a namespace, not to a workflow, so no owner reference can keep it. One loop looks at
//! all namespaces instead: it is cheap, and it heals whatever was changed or deleted by hand.

pub mod build;

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use dise_core::digest::Digest;
use dise_crds::{ServingMode, Workflow, conditions};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ServiceAccount, networking::v1::NetworkPolicy};
use kube::{Api, ResourceExt as _, api::ListParams, runtime::reflector::Store};

use self::build::SHARED_NAME;
use super::{
    Context, Error,
    apply::{apply, delete},
    workflow::reason,
};
use crate::{api::auth::SERVICE_ACCOUNT, labels};

/// Workflows that change together are looked at together.
const GATHER: Duration = Duration::from_millis(100);
/// Also how long a change may go unseen that this loop's watch reports before the store has it.
const RESYNC: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(5);

/// What was applied to a namespace: the wish, and the generation of the Deployment that came of it.
type Applied = HashMap<String, (Digest, Option<i64>)>;

/// Keeps the shared executors as they should be, for as long as this replica leads. `changes` tells that a workflow or
/// a Deployment of an executor has changed.
pub async fn run(context: &Context, workflows: Store<Workflow>, changes: impl Stream<Item = ()> + Send) {
    let mut changes = std::pin::pin!(changes);
    let mut applied = Applied::new();
    let mut wait = Duration::ZERO;
    let mut ca = context.ca.clone();
    loop {
        tokio::select! {
            next = changes.next() => if next.is_none() { return },
            () = context.signals.executors_changed() => {}
            _ = ca.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
        tokio::time::sleep(GATHER).await;
        while futures::FutureExt::now_or_never(changes.next()).flatten().is_some() {}
        wait = match converge(context, &workflows, &mut applied).await {
            Ok(()) => RESYNC,
            Err(fault) => {
                tracing::warn!(%fault, "cannot bring the shared executors up to date");
                context.metrics.error("Executor", fault.label());
                RETRY
            }
        };
    }
}

/// Whether a workflow needs executor pods: it has a plan, or is about to get its first one.
#[must_use]
pub fn needs_pods(workflow: &Workflow) -> bool {
    let Some(status) = &workflow.status else { return false };
    let ready = conditions::find_condition(&status.conditions, conditions::READY);
    status.plan_hash.is_some() || ready.is_some_and(|ready| ready.reason == reason::VERIFYING)
}

/// Whether the shared executor has a workflow, if only until an executor of its own has taken over.
fn is_shared(workflow: &Workflow) -> bool {
    let now = workflow.status.as_ref().and_then(|status| status.serving_mode);
    workflow.spec.serving.mode == ServingMode::Shared || now == Some(ServingMode::Shared)
}

/// Makes sure that runner pods can be started in a namespace.
///
/// # Errors
/// The Kubernetes API refuses.
pub async fn ensure_account(context: &Context, namespace: &str) -> Result<(), kube::Error> {
    apply(&context.client, namespace, &build::service_account(namespace)).await?;
    apply(&context.client, namespace, &build::network_policy(&context.settings, namespace)).await?;
    Ok(())
}

async fn converge(
    context: &Context,
    workflows: &Store<Workflow>,
    applied: &mut Applied,
) -> Result<(), Error> {
    let wanted: BTreeSet<String> = workflows
        .state()
        .iter()
        .filter(|workflow| workflow.metadata.deletion_timestamp.is_none() && needs_pods(workflow))
        .filter(|workflow| is_shared(workflow))
        .filter_map(|workflow| workflow.namespace())
        .collect();
    let any: BTreeSet<String> =
        workflows.state().iter().filter_map(|workflow| workflow.namespace()).collect();

    let all: Api<Deployment> = Api::all(context.client.clone());
    let selector = format!("{}={}", labels::EXECUTOR, labels::SHARED);
    let found = all.list_metadata(&ListParams::default().labels(&selector)).await?;
    let found: HashMap<String, Option<i64>> =
        found.into_iter().filter_map(|item| Some((item.namespace()?, item.metadata.generation))).collect();

    for namespace in &wanted {
        let deployment = build::shared(&context.settings, &context.bundle(), namespace);
        let wish = Digest::of_json(&deployment)?;
        let current = found.get(namespace).map(|generation| (wish, *generation));
        if current.is_some() && applied.get(namespace) == current.as_ref() {
            continue;
        }
        match apply_shared(context, namespace, &deployment).await {
            Ok(deployment) => {
                applied.insert(namespace.clone(), (wish, deployment.metadata.generation));
            }
            // The namespace is being deleted: its workflows go with it.
            Err(kube::Error::Api(status))
                if status.is_forbidden() && status.message.contains("terminated") => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    for namespace in found.keys().filter(|namespace| !wanted.contains(*namespace)) {
        delete::<Deployment>(&context.client, namespace, SHARED_NAME).await?;
        applied.remove(namespace);
        if !any.contains(namespace) {
            delete::<NetworkPolicy>(&context.client, namespace, SHARED_NAME).await?;
            delete::<ServiceAccount>(&context.client, namespace, SERVICE_ACCOUNT).await?;
        }
    }
    Ok(())
}

async fn apply_shared(
    context: &Context,
    namespace: &str,
    deployment: &Deployment,
) -> Result<Deployment, kube::Error> {
    ensure_account(context, namespace).await?;
    let deployment = apply(&context.client, namespace, deployment).await?;
    tracing::info!(namespace, "shared executor is up to date");
    Ok(deployment)
}

#[cfg(test)]
mod tests {
    use dise_crds::{WorkflowSpec, WorkflowStatus};
    use jiff::Timestamp;

    use super::*;

    fn workflow(reason: &str, plan: Option<&str>) -> Workflow {
        let ready = conditions::condition(conditions::READY, false, reason, "", None, Timestamp::UNIX_EPOCH);
        let status = WorkflowStatus {
            conditions: vec![ready],
            plan_hash: plan.map(str::to_owned),
            ..WorkflowStatus::default()
        };
        Workflow { status: Some(status), ..Workflow::new("w", WorkflowSpec::default()) }
    }

    #[test]
    fn starts_pods_while_the_first_plan_is_being_proven() {
        assert!(needs_pods(&workflow(reason::VERIFYING, None)));
    }

    #[test]
    fn keeps_pods_while_an_older_plan_serves() {
        assert!(needs_pods(&workflow("InvalidExpression", Some("sha256:x"))));
    }

    #[test]
    fn starts_no_pods_for_what_cannot_be_served() {
        assert!(!needs_pods(&workflow("CodeMissing", None)));
        assert!(!needs_pods(&Workflow::new("w", WorkflowSpec::default())));
    }
}
