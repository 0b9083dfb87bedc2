//! What every controller and the API share.

use std::{collections::BTreeSet, sync::Arc};

use dise_core::{synthesis::SynthesisReport, verification::VerificationReport};
use dise_crds::{Tool, Workflow, WorkflowRun};
use kube::{
    Client,
    runtime::{events::Recorder, reflector::ObjectRef},
};
use tokio::sync::{Notify, broadcast, watch};

use super::{
    Backoff, Owner, Reports, owner::OwnerKind, probe::Probe, usage::Usage, work::Queue, workflow::Recent,
};
use crate::{config::Settings, memory::Memory, metrics::Metrics, store::Store};

/// What every controller and the API share.
pub struct Context {
    /// The Kubernetes API.
    pub client: Client,
    /// The object store.
    pub store: Store,
    /// The operator's settings.
    pub settings: Settings,
    /// Verifications that have no report yet.
    pub verifications: Queue,
    /// Searches for code that have no report yet.
    pub syntheses: Queue,
    /// Questions whether a model answers that have no report yet.
    pub probes: Queue,
    /// Reports on verifications.
    pub reports: Reports<VerificationReport>,
    /// Reports on searches, by request.
    pub searches: Reports<SynthesisReport>,
    /// Reports on the searches that solved a task, by task.
    pub solutions: Reports<SynthesisReport>,
    /// Every artifact, found again.
    pub memory: Memory,
    /// What was applied for workflows a moment ago.
    pub recent: Recent,
    /// What executors serve.
    pub probe: Probe,
    /// What workflows have executed.
    pub usage: Usage,
    /// Wakes controllers.
    pub signals: Signals,
    /// Counters of the operator.
    pub metrics: Metrics,
    /// When a failed object is tried again.
    pub backoff: Backoff,
    /// Publishes Events.
    pub events: Recorder,
    /// The CA certificates that pods must trust, PEM; changes when the CA is renewed.
    pub ca: watch::Receiver<String>,
}

impl Context {
    /// The CA certificates that pods must trust, PEM.
    #[must_use]
    pub fn bundle(&self) -> String {
        self.ca.borrow().clone()
    }
}

/// Wakes controllers for objects that no watch of theirs tells about. On a replica that does not lead nobody listens.
#[derive(Clone)]
pub struct Signals {
    workflows: broadcast::Sender<ObjectRef<Workflow>>,
    tools: broadcast::Sender<ObjectRef<Tool>>,
    runs: broadcast::Sender<ObjectRef<WorkflowRun>>,
    usage: broadcast::Sender<String>,
    executors: Arc<Notify>,
}

/// More objects than this to wake at once are reconciled by the next resync.
const CAPACITY: usize = 8192;

impl Default for Signals {
    fn default() -> Self {
        Self {
            workflows: broadcast::channel(CAPACITY).0,
            tools: broadcast::channel(CAPACITY).0,
            runs: broadcast::channel(CAPACITY).0,
            usage: broadcast::channel(CAPACITY).0,
            executors: Arc::default(),
        }
    }
}

impl Signals {
    /// Wakes whoever asked for some work.
    fn owner(&self, namespace: &str, owner: &Owner) {
        match owner.kind {
            OwnerKind::Workflow => self.workflow(namespace, &owner.name),
            OwnerKind::Tool => {
                let _ = self.tools.send(ObjectRef::new(&owner.name).within(namespace));
            }
        }
    }

    /// Wakes everybody who asked for some work.
    pub fn owners(&self, namespace: &str, owners: BTreeSet<Owner>) {
        for owner in owners {
            self.owner(namespace, &owner);
        }
    }

    /// Wakes a workflow.
    pub fn workflow(&self, namespace: &str, name: &str) {
        // Without a receiver this replica does not lead, and the leader's own watches serve.
        let _ = self.workflows.send(ObjectRef::new(name).within(namespace));
    }

    /// Has the shared executors looked at: a workflow needs one.
    pub fn executors(&self) {
        self.executors.notify_one();
    }

    /// Waits until [`Signals::executors`] was called.
    pub async fn executors_changed(&self) {
        self.executors.notified().await;
    }

    /// Wakes a run: its result has arrived.
    pub fn run(&self, namespace: &str, name: &str) {
        let _ = self.runs.send(ObjectRef::new(name).within(namespace));
    }

    /// Tells that a namespace's usage has changed.
    pub fn usage(&self, namespace: &str) {
        let _ = self.usage.send(namespace.to_owned());
    }

    /// The workflows to wake.
    #[must_use]
    pub fn workflows(&self) -> broadcast::Receiver<ObjectRef<Workflow>> {
        self.workflows.subscribe()
    }

    /// The tools to wake.
    #[must_use]
    pub fn tools(&self) -> broadcast::Receiver<ObjectRef<Tool>> {
        self.tools.subscribe()
    }

    /// The runs to wake.
    #[must_use]
    pub fn runs(&self) -> broadcast::Receiver<ObjectRef<WorkflowRun>> {
        self.runs.subscribe()
    }

    /// The namespaces whose usage has changed.
    #[must_use]
    pub fn usages(&self) -> broadcast::Receiver<String> {
        self.usage.subscribe()
    }
}
