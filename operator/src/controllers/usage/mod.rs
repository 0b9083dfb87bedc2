//! Bookkeeping of use: what runner processes report becomes counts in the statuses of Workflows and Artifacts.

mod ledger;

pub use ledger::cost_per_run;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use dise_core::{
    money::Usd,
    wire::{ArtifactUsage, UsageReport, WorkflowUsage},
};
use dise_crds::{Artifact, ArtifactStatus, OriginKind, Workflow};
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::Time};
use kube::{
    Api, Resource as _, ResourceExt as _,
    api::{ListParams, Patch, PatchParams},
};
use serde::Serialize;
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use self::ledger::{Folded, Totals};
use super::{Context, Error};
use crate::{labels, store::Key};

/// The field manager of an artifact's counts, apart from that of its proof, so that neither takes the other's fields.
const FIELD_MANAGER: &str = "dise-operator-usage";

/// A report that reached another replica wakes nobody here: all namespaces are looked at every so many intervals.
const ALL_NAMESPACES_EVERY: u64 = 5;

/// What workflows have executed since their first execution, as far as this process has read it.
#[derive(Default)]
pub struct Usage(Mutex<HashMap<(String, String), WorkflowUsage>>);

impl Usage {
    /// The counts of a workflow; `None` when they were not read yet or there are none.
    #[must_use]
    pub fn of(&self, namespace: &str, workflow: &str) -> Option<WorkflowUsage> {
        let key = (namespace.to_owned(), workflow.to_owned());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Takes the counts of a namespace over; returns the workflows whose counts are new.
    fn replace(&self, namespace: &str, workflows: &BTreeMap<String, WorkflowUsage>) -> Vec<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = Vec::new();
        for (name, usage) in workflows {
            if known.insert((namespace.to_owned(), name.clone()), usage.clone()).as_ref() != Some(usage) {
                changed.push(name.clone());
            }
        }
        changed
    }
}

/// Brings the counts of namespaces in which something was executed up to date, at most once per interval.
pub async fn run(context: &Context) {
    let interval = Duration::from_secs(context.settings.usage_seconds.max(1));
    let mut signals = context.signals.usages();
    let mut due = match namespaces(context).await {
        Ok(namespaces) => namespaces,
        Err(fault) => {
            tracing::warn!(%fault, "cannot list namespaces for usage; waiting for reports");
            BTreeSet::new()
        }
    };
    let mut ticks = 0_u64;
    let mut tick = tokio::time::interval(interval);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            signal = signals.recv() => match signal {
                Ok(namespace) => { due.insert(namespace); }
                Err(RecvError::Lagged(_)) => due.extend(namespaces(context).await.unwrap_or_default()),
                Err(RecvError::Closed) => return,
            },
            _ = tick.tick() => {
                ticks += 1;
                if ticks.is_multiple_of(ALL_NAMESPACES_EVERY) {
                    due.extend(namespaces(context).await.unwrap_or_default());
                }
                due = update_all(context, due).await;
            }
        }
    }
}

/// Returns the namespaces that have to be tried again.
async fn update_all(context: &Context, namespaces: BTreeSet<String>) -> BTreeSet<String> {
    let mut failed = BTreeSet::new();
    for namespace in namespaces {
        if let Err(fault) = update(context, &namespace).await {
            tracing::warn!(namespace, %fault, "cannot bring usage up to date; trying again");
            context.metrics.error("Usage", fault.label());
            failed.insert(namespace);
        }
    }
    failed
}

async fn namespaces(context: &Context) -> Result<BTreeSet<String>, Error> {
    let workflows: Api<Workflow> = Api::all(context.client.clone());
    let found = workflows.list_metadata(&ListParams::default()).await?;
    Ok(found.iter().filter_map(kube::ResourceExt::namespace).collect())
}

/// Workflows learn their counts through their own controller, which alone writes their status.
async fn update(context: &Context, namespace: &str) -> Result<(), Error> {
    let totals = totals(context, namespace).await?;
    for name in context.usage.replace(namespace, &totals.workflows) {
        context.signals.workflow(namespace, &name);
    }
    let artifacts: Api<Artifact> = Api::namespaced(context.client.clone(), namespace);
    let mut uses = BTreeMap::new();
    for usage in totals.workflows.values() {
        uses.extend(usage.artifacts.iter());
    }
    let found = artifacts.list(&ListParams::default()).await?.items;
    let reuses = reuses(&found);
    for artifact in &found {
        let name = artifact.name_any();
        let counts = Counts::of(uses.get(&name).copied(), reuses.get(name.as_str()));
        if counts.differ(artifact.status.as_ref()) {
            write(&artifacts, artifact, &counts).await?;
        }
    }
    Ok(())
}

/// What is counted of an artifact.
#[derive(Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Counts {
    #[serde(skip_serializing_if = "Option::is_none")]
    usage_count: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used: Option<Time>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reuse_count: Option<i64>,
    #[serde(rename = "savedUsd", skip_serializing_if = "Option::is_none")]
    saved: Option<String>,
}

impl Counts {
    fn of(usage: Option<&ArtifactUsage>, reuse: Option<&(i64, Usd)>) -> Self {
        Self {
            usage_count: usage.map(|usage| i64::try_from(usage.uses).unwrap_or(i64::MAX)),
            last_used: usage.map(|usage| Time(usage.last_used)),
            reuse_count: reuse.map(|(count, _)| *count),
            saved: reuse.map(|(_, saved)| saved.to_string()),
        }
    }

    /// Whether there is something to count that a status does not say yet.
    fn differ(&self, status: Option<&ArtifactStatus>) -> bool {
        let known = status.map(|status| (status.usage_count, status.reuse_count, status.saved_usd.as_ref()));
        let counted = (self.usage_count, self.reuse_count, self.saved.as_ref());
        *self != Self::default() && known != Some(counted)
    }
}

/// How often the code of each artifact was taken by others, and what that saved them.
fn reuses(artifacts: &[Artifact]) -> BTreeMap<&str, (i64, Usd)> {
    let mut reuses: BTreeMap<&str, (i64, Usd)> = BTreeMap::new();
    for artifact in artifacts {
        let (OriginKind::Reuse, Some(parent)) = (artifact.spec.origin.kind, &artifact.spec.parent) else {
            continue;
        };
        let saved = artifact.spec.origin.saved_usd.as_ref().and_then(|saved| saved.parse().ok());
        let entry = reuses.entry(parent).or_default();
        *entry = (entry.0 + 1, entry.1 + saved.unwrap_or_default());
    }
    reuses
}

async fn write(api: &Api<Artifact>, artifact: &Artifact, status: &Counts) -> Result<(), Error> {
    let name = artifact.name_any();
    let patch = json!({
        "apiVersion": Artifact::api_version(&()),
        "kind": Artifact::kind(&()),
        "metadata": {"name": name},
        "status": status,
    });
    match api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&patch)).await {
        Ok(_) => Ok(()),
        // Deleted meanwhile: its use stays in the store.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(fault) => Err(fault.into()),
    }
}

/// The counts of a namespace since its first execution. Reports of processes that are gone are folded into one.
async fn totals(context: &Context, namespace: &str) -> Result<Totals, Error> {
    let store = &context.store;
    let folded_key = Key::usage_folded(namespace);
    let mut folded: Folded = store.document(&folded_key).await?.unwrap_or_default();
    let mut live = BTreeMap::new();
    for boot in store.list(&Key::usage_folder(namespace)).await? {
        if folded.boots.contains(&boot) {
            // Folded before, and then the operator was stopped before it could delete the report.
            store.delete(&Key::usage(namespace, &boot)).await?;
        } else if let Some(report) = store.document::<UsageReport>(&Key::usage(namespace, &boot)).await? {
            live.insert(boot, report);
        }
    }
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    let selector = format!("{}={}", labels::MANAGED_BY, labels::MANAGER);
    let alive: BTreeSet<String> = pods
        .list_metadata(&ListParams::default().labels(&selector))
        .await?
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect();
    let gone = ledger::fold(&mut folded, &mut live, &alive);
    if !gone.is_empty() {
        // The fold is durable before a report is deleted, so that a crash in between counts nothing twice.
        store.put(&folded_key, &folded).await?;
        for boot in gone {
            store.delete(&Key::usage(namespace, &boot)).await?;
        }
    }
    Ok(ledger::sum(&folded, &live))
}
