//! Which plans are to be served: what the statuses of Workflows say, kept in memory on every replica.

use std::{collections::BTreeMap, sync::Arc};

use dise_core::{digest::Digest, wire::PlanList};
use dise_crds::{ServingMode, Workflow};
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, reflector, reflector::Store, watcher},
};
use tokio::sync::watch;

use crate::watching;

/// The plans of all namespaces.
#[derive(Clone)]
pub struct Plans {
    workflows: Store<Workflow>,
    changed: watch::Receiver<u64>,
}

impl Plans {
    /// Starts to follow the Workflows of the cluster; the future runs for as long as it is polled.
    pub fn follow(client: Client) -> (Self, impl Future<Output = ()> + Send) {
        let (reader, writer) = reflector::store();
        let (tell, changed) = watch::channel(0_u64);
        let events = watcher(Api::<Workflow>::all(client), watcher::Config::default())
            .backoff(watching::pause())
            .modify(keep_what_plans_need)
            .reflect(writer);
        let follow = async move {
            let mut events = std::pin::pin!(events);
            while let Some(event) = events.next().await {
                match event {
                    Ok(_) => tell.send_modify(|count| *count = count.wrapping_add(1)),
                    Err(fault) => tracing::warn!(%fault, "cannot follow Workflows; trying again"),
                }
            }
        };
        (Self { workflows: reader, changed }, follow)
    }

    /// Waits until the Workflows of the cluster are known.
    pub async fn ready(&self) {
        // An error means that the follower is gone, and with it this process.
        let _ = self.workflows.wait_until_ready().await;
    }

    /// Whether the Workflows of the cluster are known.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        futures::FutureExt::now_or_never(self.workflows.wait_until_ready()).is_some()
    }

    /// Ticks whenever a Workflow changes.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// What the executor of a namespace serves; with `dedicated`, what the executor of that workflow alone serves.
    #[must_use]
    pub fn list(&self, namespace: &str, dedicated: Option<&str>) -> PlanList {
        list(&self.workflows.state(), namespace, dedicated)
    }

    /// The plan of one workflow.
    #[must_use]
    pub fn of(&self, namespace: &str, workflow: &str) -> Option<Digest> {
        let found = self.workflows.get(&reflector::ObjectRef::new(workflow).within(namespace))?;
        plan(&found)
    }
}

/// The bulk of a Workflow is its code, which plans do not need.
fn keep_what_plans_need(workflow: &mut Workflow) {
    workflow.spec.steps = Vec::new();
    workflow.spec.input = None;
    workflow.spec.result = None;
    workflow.metadata.managed_fields = None;
    workflow.metadata.annotations = None;
    if let Some(status) = &mut workflow.status {
        status.steps = Vec::new();
        status.conditions = Vec::new();
    }
}

fn list(workflows: &[Arc<Workflow>], namespace: &str, dedicated: Option<&str>) -> PlanList {
    // While the mode changes, the former executor and the new one both have the workflow.
    let wanted = |workflow: &Workflow| {
        let now = workflow.status.as_ref().and_then(|status| status.serving_mode);
        let has = |mode| workflow.spec.serving.mode == mode || now == Some(mode);
        match dedicated {
            Some(name) => has(ServingMode::Dedicated) && workflow.name_any() == name,
            None => has(ServingMode::Shared),
        }
    };
    let plans: BTreeMap<String, Digest> = workflows
        .iter()
        .filter(|workflow| workflow.metadata.namespace.as_deref() == Some(namespace))
        .filter(|workflow| workflow.metadata.deletion_timestamp.is_none() && wanted(workflow))
        .filter_map(|workflow| Some((workflow.name_any(), plan(workflow)?)))
        .collect();
    let revision = Digest::of_json(&plans).map(|digest| digest.short(16)).unwrap_or_default();
    PlanList { revision, plans }
}

fn plan(workflow: &Workflow) -> Option<Digest> {
    workflow.status.as_ref()?.plan_hash.as_ref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use dise_crds::{Serving, WorkflowSpec, WorkflowStatus};

    use super::*;

    fn workflow(namespace: &str, name: &str, mode: ServingMode, plan: Option<Digest>) -> Arc<Workflow> {
        let serving = Serving { mode, ..Serving::default() };
        let mut workflow = Workflow::new(name, WorkflowSpec { serving, ..WorkflowSpec::default() });
        workflow.metadata.namespace = Some(namespace.to_owned());
        let plan_hash = plan.map(|plan| plan.to_string());
        workflow.status = Some(WorkflowStatus { plan_hash, ..WorkflowStatus::default() });
        Arc::new(workflow)
    }

    fn cluster() -> Vec<Arc<Workflow>> {
        let plan = Some(Digest::of(b"p"));
        vec![
            workflow("shop", "one", ServingMode::Shared, plan),
            workflow("shop", "own", ServingMode::Dedicated, plan),
            workflow("shop", "new", ServingMode::Shared, None),
            workflow("bank", "two", ServingMode::Shared, plan),
        ]
    }

    fn names(list: &PlanList) -> Vec<&str> {
        list.plans.keys().map(String::as_str).collect()
    }

    #[test]
    fn gives_a_shared_executor_the_shared_workflows_of_its_namespace() {
        assert_eq!(names(&list(&cluster(), "shop", None)), ["one"]);
        assert_eq!(names(&list(&cluster(), "bank", None)), ["two"]);
    }

    #[test]
    fn gives_a_dedicated_executor_its_own_workflow_alone() {
        assert_eq!(names(&list(&cluster(), "shop", Some("own"))), ["own"]);
        assert_eq!(names(&list(&cluster(), "shop", Some("one"))), [""; 0]);
    }

    #[test]
    fn keeps_the_former_executor_supplied_while_the_mode_changes() {
        let mut changing =
            Arc::unwrap_or_clone(workflow("shop", "own", ServingMode::Dedicated, Some(Digest::of(b"p"))));
        changing.status.as_mut().unwrap().serving_mode = Some(ServingMode::Shared);
        let cluster = [Arc::new(changing)];
        assert_eq!(names(&list(&cluster, "shop", None)), ["own"]);
        assert_eq!(names(&list(&cluster, "shop", Some("own"))), ["own"]);
    }

    #[test]
    fn changes_the_revision_exactly_when_a_plan_changes() {
        let before = list(&cluster(), "shop", None).revision;
        assert_eq!(list(&cluster(), "shop", None).revision, before);
        let mut changed = cluster();
        changed[0] = workflow("shop", "one", ServingMode::Shared, Some(Digest::of(b"q")));
        assert_ne!(list(&changed, "shop", None).revision, before);
    }
}
