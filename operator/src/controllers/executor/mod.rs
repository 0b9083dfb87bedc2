//! Shared executors: one Deployment for each namespace that has something to serve.
//!
//! A shared executor belongs to a namespace, not to a workflow, so no owner reference can keep it. One loop looks at
//! all namespaces instead: it is cheap, and it heals whatever was changed or deleted by hand.

pub mod build;
mod namespace;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use dise_core::digest::Digest;
use dise_crds::{ServingMode, Workflow, conditions};
use futures::{Stream, StreamExt as _};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, ServiceAccount},
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, ObjectMeta},
    runtime::reflector::Store,
};

use self::build::SHARED_NAME;
pub use self::namespace::is_leaving;
use super::{
    Backoff, Context, Error,
    apply::{apply, delete},
    workflow::reason,
};
use crate::{
    api::auth::{READER, SERVICE_ACCOUNT},
    config::Settings,
    labels,
};

/// Workflows that change together are looked at together.
const GATHER: Duration = Duration::from_millis(100);
/// Also how long a change may go unseen that this loop's watch reports before the store has it.
const RESYNC: Duration = Duration::from_mins(1);
const RETRY: Duration = Duration::from_secs(5);

/// What was applied to a namespace: the wish, and the generation of the Deployment that came of it.
type Applied = HashMap<String, (Digest, Option<i64>)>;

/// What is known of the namespaces from looking at them before.
#[derive(Default)]
struct Known {
    applied: Applied,
    /// When those that failed are tried again.
    again: HashMap<String, Instant>,
}

/// A namespace that could not be brought up to date.
struct Fault {
    namespace: String,
    error: Error,
    retry: Duration,
}

/// Where executors are, and what all of them are made with.
struct Site<'a> {
    client: &'a Client,
    settings: &'a Settings,
    bundle: &'a str,
}

/// Keeps the shared executors as they should be, for as long as this replica leads. `changes` tells that a workflow or
/// a Deployment of an executor has changed.
pub async fn run(context: &Context, workflows: Store<Workflow>, changes: impl Stream<Item = ()> + Send) {
    let mut changes = std::pin::pin!(changes);
    let mut known = Known::default();
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
        let bundle = context.bundle();
        let site = Site { client: &context.client, settings: &context.settings, bundle: &bundle };
        wait = match site.converge(&workflows.state(), &mut known, &context.backoff).await {
            Ok(faults) => {
                for Fault { namespace, error, retry } in faults {
                    let retry_seconds = retry.as_secs_f32();
                    tracing::warn!(namespace, fault = %error, retry_seconds, "cannot update the shared executor");
                    context.metrics.error("Executor", error.label());
                }
                known.pause()
            }
            Err(fault) => {
                tracing::warn!(%fault, "cannot list the shared executors");
                context.metrics.error("Executor", fault.label());
                RETRY
            }
        };
    }
}

impl Known {
    /// How long nothing is to be done, if nothing changes.
    fn pause(&self) -> Duration {
        let first = self.again.values().min().map(|again| again.saturating_duration_since(Instant::now()));
        first.unwrap_or(RESYNC).min(RESYNC)
    }

    fn is_held_back(&self, namespace: &str) -> bool {
        self.again.get(namespace).is_some_and(|again| *again > Instant::now())
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
    ensure(&context.client, &context.settings, namespace).await
}

async fn ensure(client: &Client, settings: &Settings, namespace: &str) -> Result<(), kube::Error> {
    for account in [SERVICE_ACCOUNT, READER] {
        apply(client, namespace, &build::service_account(account, namespace)).await?;
    }
    for policy in [build::network_policy(settings, namespace), build::model_policy(namespace)] {
        apply(client, namespace, &policy).await?;
    }
    Ok(())
}

impl Site<'_> {
    /// Looks at all namespaces but those whose next attempt is not due. One that fails keeps no other from its turn.
    async fn converge(
        &self,
        workflows: &[Arc<Workflow>],
        known: &mut Known,
        backoff: &Backoff,
    ) -> Result<Vec<Fault>, Error> {
        let wanted: BTreeSet<String> = workflows
            .iter()
            .filter(|workflow| workflow.metadata.deletion_timestamp.is_none() && needs_pods(workflow))
            .filter(|workflow| is_shared(workflow))
            .filter_map(|workflow| workflow.namespace())
            .collect();
        let any: BTreeSet<String> = workflows.iter().filter_map(|workflow| workflow.namespace()).collect();
        let found = self.found().await?;
        known.applied.retain(|namespace, _| found.contains_key(namespace));
        known.again.retain(|namespace, _| {
            let has_work = wanted.contains(namespace) || found.contains_key(namespace);
            if !has_work {
                backoff.succeeded(&key(namespace));
            }
            has_work
        });

        let mut faults = Vec::new();
        let others = found.keys().filter(|namespace| !wanted.contains(*namespace));
        for namespace in wanted.iter().chain(others) {
            if known.is_held_back(namespace) {
                continue;
            }
            let outcome = if wanted.contains(namespace) {
                self.apply_shared(namespace, &found, &mut known.applied).await
            } else {
                self.delete_shared(namespace, any.contains(namespace)).await
            };
            let key = key(namespace);
            match outcome {
                Err(error) if !matches!(&error, Error::Kubernetes(fault) if is_leaving(fault)) => {
                    let retry = backoff.failed(&key);
                    known.again.insert(namespace.clone(), Instant::now() + retry);
                    faults.push(Fault { namespace: namespace.clone(), error, retry });
                }
                // Also when the namespace is leaving: its workflows go with it.
                _ => {
                    known.again.remove(namespace);
                    backoff.succeeded(&key);
                }
            }
        }
        Ok(faults)
    }

    /// The namespaces that have a shared executor, with the generations of the Deployments.
    async fn found(&self) -> Result<HashMap<String, Option<i64>>, Error> {
        let all: Api<Deployment> = Api::all(self.client.clone());
        let selector = format!("{}={}", labels::EXECUTOR, labels::SHARED);
        let found = all.list_metadata(&ListParams::default().labels(&selector)).await?;
        Ok(found.into_iter().filter_map(|item| Some((item.namespace()?, item.metadata.generation))).collect())
    }

    /// Applies an executor, unless the one that was found came of the same wish.
    async fn apply_shared(
        &self,
        namespace: &str,
        found: &HashMap<String, Option<i64>>,
        applied: &mut Applied,
    ) -> Result<(), Error> {
        let deployment = build::shared(self.settings, self.bundle, namespace);
        let wish = Digest::of_json(&deployment)?;
        let current = found.get(namespace).map(|generation| (wish, *generation));
        if current.is_some() && applied.get(namespace) == current.as_ref() {
            return Ok(());
        }
        ensure(self.client, self.settings, namespace).await?;
        let deployment = apply(self.client, namespace, &deployment).await?;
        applied.insert(namespace.to_owned(), (wish, deployment.metadata.generation));
        tracing::info!(namespace, "shared executor is up to date");
        Ok(())
    }

    /// Deletes an executor that nothing needs, and what runner pods need unless there are workflows left.
    async fn delete_shared(&self, namespace: &str, has_workflows: bool) -> Result<(), Error> {
        delete::<Deployment>(self.client, namespace, SHARED_NAME).await?;
        if !has_workflows {
            for policy in [SHARED_NAME, build::MODEL_POLICY] {
                delete::<NetworkPolicy>(self.client, namespace, policy).await?;
            }
            for account in [SERVICE_ACCOUNT, READER] {
                delete::<ServiceAccount>(self.client, namespace, account).await?;
            }
        }
        Ok(())
    }
}

/// What the failures of a namespace are counted by.
fn key(namespace: &str) -> Namespace {
    let metadata = ObjectMeta { name: Some(namespace.to_owned()), ..ObjectMeta::default() };
    Namespace { metadata, ..Namespace::default() }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeMap,
        convert::Infallible,
        sync::{Mutex, PoisonError},
    };

    use axum::http::{Method, Request, Response};
    use clap::Parser as _;
    use dise_crds::{WorkflowSpec, WorkflowStatus};
    use jiff::Timestamp;
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::{
        namespace::tests::{gone, refused, terminating},
        *,
    };

    fn workflow(reason: &str, plan: Option<&str>) -> Workflow {
        let ready = conditions::condition(conditions::READY, false, reason, "", None, Timestamp::UNIX_EPOCH);
        let status = WorkflowStatus {
            conditions: vec![ready],
            plan_hash: plan.map(str::to_owned),
            ..WorkflowStatus::default()
        };
        Workflow { status: Some(status), ..Workflow::new("w", WorkflowSpec::default()) }
    }

    /// An API server that has executors in `found`, refuses what is written to some namespaces, and takes the rest.
    #[derive(Clone, Default)]
    struct Api {
        found: Vec<&'static str>,
        refusals: BTreeMap<&'static str, Value>,
        written: Arc<Mutex<Vec<String>>>,
    }

    impl Api {
        fn client(&self) -> Client {
            let api = self.clone();
            let service = tower::service_fn(move |request: Request<Body>| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.answer(request).await) }
            });
            Client::new(service, "default")
        }

        async fn answer(&self, request: Request<Body>) -> Response<Body> {
            let (head, body) = request.into_parts();
            let path = head.uri.path().to_owned();
            if head.method == Method::GET {
                let items = self.found.iter().map(|namespace| {
                    json!({"metadata": {"name": SHARED_NAME, "namespace": namespace, "generation": 1}})
                });
                return respond(200, &json!({"metadata": {}, "items": items.collect::<Vec<_>>()}));
            }
            let namespace = path.split('/').skip_while(|part| *part != "namespaces").nth(1).unwrap();
            if let Some(refusal) = self.refusals.get(namespace) {
                return respond(refusal["code"].as_u64().unwrap(), refusal);
            }
            let kind = path.rsplit('/').nth(1).unwrap();
            self.lock().push(format!("{} {kind} {namespace}", head.method));
            if head.method == Method::DELETE {
                return respond(200, &json!({"kind": "Status", "status": "Success"}));
            }
            respond(200, &serde_json::from_slice(&body.collect_bytes().await.unwrap()).unwrap())
        }

        /// What was written of a kind since it was last asked.
        fn taken(&self, kind: &str) -> Vec<String> {
            std::mem::take(&mut *self.lock()).into_iter().filter(|line| line.contains(kind)).collect()
        }

        fn lock(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
            self.written.lock().unwrap_or_else(PoisonError::into_inner)
        }
    }

    fn respond(code: u64, body: &Value) -> Response<Body> {
        let code = u16::try_from(code).unwrap();
        Response::builder().status(code).body(Body::from(body.to_string().into_bytes())).unwrap()
    }

    /// Looks once at the namespaces, each with a workflow that serves; returns those that failed.
    async fn converge(api: &Api, namespaces: &[&str], known: &mut Known, backoff: &Backoff) -> Vec<String> {
        let settings = Settings::parse_from(["x", "--store-url=memory:///", "--runner-image=runner:1"]);
        let workflows: Vec<_> = namespaces
            .iter()
            .map(|namespace| {
                let mut workflow = workflow("Ready", Some("sha256:x"));
                workflow.metadata.namespace = Some((*namespace).to_owned());
                Arc::new(workflow)
            })
            .collect();
        let client = api.client();
        let site = Site { client: &client, settings: &settings, bundle: "PEM" };
        let faults =
            site.converge(&workflows, known, backoff).await.map_err(|fault| fault.to_string()).unwrap();
        faults.into_iter().map(|fault| fault.namespace).collect()
    }

    #[tokio::test]
    async fn a_namespace_that_fails_keeps_no_other_from_its_turn() {
        let refusals = [("a-broken", refused()), ("b-broken", refused()), ("old-broken", refused())].into();
        let api = Api { refusals, found: vec!["old-broken", "old"], ..Api::default() };
        let (mut known, backoff) = (Known::default(), Backoff::default());
        let faults = converge(&api, &["a-broken", "b-broken", "shop"], &mut known, &backoff).await;
        assert_eq!(faults, ["a-broken", "b-broken", "old-broken"]);
        assert_eq!(api.taken("deployments"), ["PATCH deployments shop", "DELETE deployments old"]);
    }

    #[tokio::test]
    async fn a_namespace_that_leaves_or_is_gone_is_no_failure() {
        let refusals = [("leaving", terminating()), ("gone", gone())].into();
        let api = Api { refusals, ..Api::default() };
        let (mut known, backoff) = (Known::default(), Backoff::default());
        let faults = converge(&api, &["gone", "leaving", "shop"], &mut known, &backoff).await;
        assert_eq!(faults, [""; 0]);
        assert_eq!(api.taken("deployments"), ["PATCH deployments shop"]);
        assert_eq!(known.pause(), RESYNC);
    }

    #[tokio::test]
    async fn a_namespace_that_failed_is_told_of_once_and_tried_again_when_it_is_due() {
        let mut api = Api { refusals: [("shop", refused())].into(), ..Api::default() };
        let (mut known, backoff) = (Known::default(), Backoff::default());
        assert_eq!(converge(&api, &["shop"], &mut known, &backoff).await, ["shop"]);
        assert_eq!(converge(&api, &["shop"], &mut known, &backoff).await, [""; 0]);
        assert!(known.pause() < RETRY, "{:?}", known.pause());

        api.refusals.clear();
        known.again.insert("shop".to_owned(), Instant::now());
        assert_eq!(converge(&api, &["shop"], &mut known, &backoff).await, [""; 0]);
        assert_eq!(api.taken("deployments"), ["PATCH deployments shop"]);
        assert_eq!(known.pause(), RESYNC);
    }

    #[tokio::test]
    async fn a_namespace_that_nobody_wants_any_more_is_forgotten() {
        let api = Api { refusals: [("shop", refused())].into(), ..Api::default() };
        let (mut known, backoff) = (Known::default(), Backoff::default());
        converge(&api, &["shop"], &mut known, &backoff).await;
        assert_eq!(converge(&api, &[], &mut known, &backoff).await, [""; 0]);
        assert_eq!(known.pause(), RESYNC);
        assert!(backoff.failed(&key("shop")) <= Duration::from_millis(500));
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
