//! Starts all controllers and runs them until told to stop.

use std::{fmt::Debug, hash::Hash, sync::Arc, time::Instant};

use dise_crds::{Artifact, ServingMode, Tool, Workflow, WorkflowRun};
use futures::{FutureExt as _, Stream, StreamExt as _, stream};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::Service};
use kube::{
    Api, Resource, ResourceExt as _,
    core::PartialObjectMeta,
    runtime::{
        Controller, WatchStreamExt as _,
        controller::{Action, Config},
        reflector::{ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

use super::{
    Context, Error, executor, run, tool, usage,
    work::{self, Queue},
    workflow,
};
use crate::{
    labels::{self, Role},
    watching,
};

/// Objects of one kind that are reconciled at the same time.
const CONCURRENCY: u16 = 16;

/// Runs all controllers until `stop`; reconciles that run then are finished.
pub async fn run_all(context: Arc<Context>, stop: CancellationToken) {
    let (workflows, workflow_store) = workflows(&context, &stop);
    let (tools, _) = tools(&context, &stop);
    let runs = runs(&context, &stop);
    let changes = stream::select(
        changes(Api::<PartialObjectMeta<Workflow>>::all(context.client.clone()), ""),
        changes(
            Api::<PartialObjectMeta<Deployment>>::all(context.client.clone()),
            &format!("{}={}", labels::EXECUTOR, labels::SHARED),
        ),
    );
    let queues = [&context.verifications, &context.syntheses, &context.probes];
    let work = futures::future::join_all(queues.map(|queue| work(&context, queue)));
    tokio::join!(
        workflows,
        tools,
        runs,
        stop.run_until_cancelled(executor::run(&context, workflow_store, changes)),
        stop.run_until_cancelled(work),
        stop.run_until_cancelled(usage::run(&context)),
    );
}

fn workflows(
    context: &Arc<Context>,
    stop: &CancellationToken,
) -> (impl Future<Output = ()> + use<>, Store<Workflow>) {
    let client = &context.client;
    let controller = Controller::new(Api::<Workflow>::all(client.clone()), watcher::Config::default());
    let store = controller.store();
    let (by_tool, by_executor) = (controller.store(), controller.store());
    let managed = watcher::Config::default().labels(&format!("{}={}", labels::MANAGED_BY, labels::MANAGER));
    let controller = controller
        .owns(Api::<Artifact>::all(client.clone()), watcher::Config::default())
        .owns(Api::<Service>::all(client.clone()), managed.clone())
        .owns(Api::<Deployment>::all(client.clone()), managed.clone())
        .watches(Api::<Tool>::all(client.clone()), watcher::Config::default(), move |tool| {
            users_of_tool(&by_tool, &tool)
        })
        .watches(
            Api::<Deployment>::all(client.clone()),
            watcher::Config::default().labels(&format!("{}={}", labels::EXECUTOR, labels::SHARED)),
            move |deployment| served_by(&by_executor, &deployment),
        )
        .reconcile_on(refs(context.signals.workflows()));
    (drive(controller, workflow::reconcile, context, stop), store)
}

fn tools(
    context: &Arc<Context>,
    stop: &CancellationToken,
) -> (impl Future<Output = ()> + use<>, Store<Tool>) {
    let controller = Controller::new(Api::<Tool>::all(context.client.clone()), watcher::Config::default());
    let store = controller.store();
    let controller = controller.reconcile_on(refs(context.signals.tools()));
    (drive(controller, tool::reconcile, context, stop), store)
}

fn runs(context: &Arc<Context>, stop: &CancellationToken) -> impl Future<Output = ()> + use<> {
    let client = &context.client;
    let jobs = watcher::Config::default().labels(&format!("{}={}", labels::ROLE, Role::Run.as_str()));
    let controller = Controller::new(Api::<WorkflowRun>::all(client.clone()), watcher::Config::default());
    let store = controller.store();
    let controller = controller
        .owns(Api::<Job>::all(client.clone()), jobs)
        .watches(Api::<Workflow>::all(client.clone()), watcher::Config::default(), move |workflow| {
            waiting_for(&store, &workflow)
        })
        .reconcile_on(refs(context.signals.runs()));
    drive(controller, run::reconcile, context, stop)
}

/// Runs one controller: measures each reconcile, and tries again what failed, later each time.
fn drive<K, R, F>(
    controller: Controller<K>,
    reconcile: R,
    context: &Arc<Context>,
    stop: &CancellationToken,
) -> impl Future<Output = ()> + use<K, R, F>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
    R: Fn(Arc<K>, Arc<Context>) -> F + Send + Sync + Copy + 'static,
    F: Future<Output = Result<Action, Error>> + Send + 'static,
{
    let kind = K::kind(&()).into_owned();
    let measured = move |object: Arc<K>, context: Arc<Context>| {
        let kind = kind.clone();
        async move {
            let start = Instant::now();
            let outcome = reconcile(Arc::clone(&object), Arc::clone(&context)).await;
            context.metrics.reconciled(&kind, start.elapsed());
            if outcome.is_ok() {
                context.backoff.succeeded(&*object);
            }
            outcome
        }
        .boxed()
    };
    let again = |object: Arc<K>, fault: &Error, context: Arc<Context>| {
        let delay = context.backoff.failed(&*object);
        let (kind, object) = (K::kind(&()), ObjectRef::from_obj(&*object));
        tracing::warn!(%kind, %object, %fault, retry_seconds = delay.as_secs_f32(), "reconcile failed");
        context.metrics.error(&kind, fault.label());
        Action::requeue(delay)
    };
    controller
        .trigger_backoff(watching::pause())
        .with_config(Config::default().concurrency(CONCURRENCY))
        .graceful_shutdown_on(stop.clone().cancelled_owned())
        .run(measured, again, Arc::clone(context))
        .for_each(|outcome| async move {
            // Failed reconciles were logged above; what is left are watches, which heal by themselves.
            if let Err(kube::runtime::controller::Error::QueueError(fault)) = outcome {
                tracing::warn!(%fault, "a watch failed; trying again");
            }
        })
}

fn refs<K>(receiver: Receiver<ObjectRef<K>>) -> impl Stream<Item = ObjectRef<K>> + Send + 'static
where
    K: Resource<DynamicType = ()> + Send + Sync + 'static,
{
    stream::unfold(receiver, |mut receiver| async move {
        loop {
            match receiver.recv().await {
                Ok(object) => return Some((object, receiver)),
                Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
                Err(tokio::sync::broadcast::error::RecvError::Closed) => return None,
            }
        }
    })
}

/// Ticks whenever an object that the selector names changes.
fn changes<K>(api: Api<PartialObjectMeta<K>>, selector: &str) -> impl Stream<Item = ()> + Send + use<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Send + Sync + 'static,
{
    watcher(api, watcher::Config::default().labels(selector))
        .backoff(watching::pause())
        .filter_map(|event| async move { event.is_ok().then_some(()) })
}

/// Starts the Jobs of a queue and looks at it again when one of them changes.
async fn work(context: &Context, queue: &Queue) {
    let selector = format!("{}={}", labels::ROLE, queue.kind().role().as_str());
    let changes = changes(Api::<PartialObjectMeta<Job>>::all(context.client.clone()), &selector);
    let woken = changes.for_each(|()| async { queue.wake() });
    tokio::join!(work::run(context, queue), woken);
}

fn users_of_tool(workflows: &Store<Workflow>, tool: &Tool) -> Vec<ObjectRef<Workflow>> {
    let (namespace, name) = (tool.namespace(), tool.name_any());
    matching(workflows, |workflow| {
        let mut options = workflow.spec.steps.iter().flat_map(|step| &step.options);
        workflow.namespace() == namespace
            && (options.any(|option| option.tool.as_ref() == Some(&name))
                || tool.spec.writes_code() && workflow::lacks_code(workflow))
    })
}

fn served_by(workflows: &Store<Workflow>, deployment: &Deployment) -> Vec<ObjectRef<Workflow>> {
    let namespace = deployment.namespace();
    matching(workflows, |workflow| {
        workflow.namespace() == namespace
            && workflow.spec.serving.mode == ServingMode::Shared
            && executor::needs_pods(workflow)
    })
}

fn waiting_for(runs: &Store<WorkflowRun>, workflow: &Workflow) -> Vec<ObjectRef<WorkflowRun>> {
    let (namespace, name) = (workflow.namespace(), workflow.name_any());
    matching(runs, |run| run.namespace() == namespace && run.spec.workflow == name && run::is_waiting(run))
}

fn matching<K>(store: &Store<K>, wanted: impl Fn(&K) -> bool) -> Vec<ObjectRef<K>>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    store
        .state()
        .iter()
        .filter(|object| wanted(object))
        .map(|object| ObjectRef::from_obj(&**object))
        .collect()
}
