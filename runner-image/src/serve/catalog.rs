//! What is served now. Readers never wait: the whole catalog is replaced at once.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use dise_core::{
    digest::Digest,
    wire::{ServingReport, ServingState},
};

use super::admission::Load;
use crate::{
    engine::Program,
    metrics::{Metrics, WorkflowSeries},
};

/// The workflows of a list, with the programs that serve them.
#[derive(Debug)]
pub struct Catalog {
    entries: ArcSwap<Entries>,
    ready: AtomicBool,
    metrics: Arc<Metrics>,
}

/// Workflow name → state.
pub type Entries = BTreeMap<String, Entry>;

/// One workflow.
#[derive(Clone)]
pub struct Entry {
    program: Option<Arc<Program>>,
    fault: Option<Fault>,
    series: Arc<WorkflowSeries>,
    /// Requests that are in the house.
    load: Arc<Load>,
}

/// Why a plan could not be taken up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The plan.
    pub plan: Digest,
    /// A sentence for a person.
    pub message: String,
    /// Whether the same plan may be taken up later.
    pub transient: bool,
}

/// What became of a plan.
#[derive(Debug)]
pub enum News {
    /// It serves from now on.
    Program(Arc<Program>),
    /// It cannot serve; what served before goes on.
    Fault(Fault),
}

impl Catalog {
    /// A catalog of nothing, which is not ready.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self { entries: ArcSwap::default(), ready: AtomicBool::new(false), metrics }
    }

    /// Everything that is served, as it is now.
    #[must_use]
    pub fn entries(&self) -> Arc<Entries> {
        self.entries.load_full()
    }

    /// One workflow.
    #[must_use]
    pub fn get(&self, workflow: &str) -> Option<Entry> {
        self.entries.load().get(workflow).cloned()
    }

    /// The name of the only workflow, if there is just one.
    #[must_use]
    pub fn only(&self) -> Option<String> {
        let entries = self.entries.load();
        (entries.len() == 1).then(|| entries.keys().next().cloned()).flatten()
    }

    /// Whether a list was taken up.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Relaxed)
    }

    /// Notes that a list was taken up.
    pub fn set_ready(&self) {
        self.ready.store(true, Relaxed);
    }

    /// What the operator is told.
    #[must_use]
    pub fn report(&self) -> ServingReport {
        let entries = self.entries.load();
        let state = |entry: &Entry| ServingState {
            serving: entry.program.as_ref().map(|program| program.digest()),
            fault: entry.fault.as_ref().map(|fault| fault.message.clone()),
        };
        ServingReport {
            workflows: entries.iter().map(|(name, entry)| (name.clone(), state(entry))).collect(),
        }
    }

    /// Drops the workflows that are not in `plans` and adds those that are new, still without a program. What is
    /// left to load: neither served already nor known to be hopeless.
    pub fn expect(&self, plans: &BTreeMap<String, Digest>) -> Vec<(String, Digest)> {
        let mut entries = Entries::clone(&self.entries.load());
        entries.retain(|name, entry| {
            let keep = plans.contains_key(name);
            if !keep {
                tracing::info!(workflow = name, "stopped serving a workflow that is no longer listed");
                self.retire(entry);
            }
            keep
        });
        let mut missing = Vec::new();
        for (name, digest) in plans {
            let entry = entries.entry(name.clone()).or_insert_with(|| Entry::new(&self.metrics, name));
            if entry.program.as_ref().is_some_and(|program| program.digest() == *digest) {
                entry.fault = None;
            } else if entry.fault.as_ref().is_none_or(|fault| fault.transient || fault.plan != *digest) {
                missing.push((name.clone(), *digest));
            }
        }
        self.entries.store(Arc::new(entries));
        missing
    }

    /// Puts programs into service, and faults on record, all at once. Requests that run finish on what they
    /// started with.
    pub fn publish(&self, news: Vec<(String, News)>) {
        let mut entries = Entries::clone(&self.entries.load());
        for (name, news) in news {
            let Some(entry) = entries.get_mut(&name) else { continue };
            match news {
                News::Program(program) => {
                    self.retire(entry);
                    entry.program = Some(program);
                    entry.fault = None;
                }
                News::Fault(fault) => entry.fault = Some(fault),
            }
        }
        self.entries.store(Arc::new(entries));
    }

    fn retire(&self, entry: &Entry) {
        if let Some(program) = &entry.program {
            self.metrics.linger(program.series());
        }
    }
}

impl Entry {
    fn new(metrics: &Metrics, name: &str) -> Self {
        Self { program: None, fault: None, series: metrics.workflow(name), load: Arc::default() }
    }

    /// What serves.
    #[must_use]
    pub fn program(&self) -> Option<&Arc<Program>> {
        self.program.as_ref()
    }

    /// Why the listed plan does not serve.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The requests for this workflow that are in the house, whatever plan they run on.
    #[must_use]
    pub fn load(&self) -> &Arc<Load> {
        &self.load
    }

    /// Counts a request that was answered without an execution.
    pub fn count_rejection(&self, reason: &str) {
        self.series.rejected(reason);
    }
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry")
            .field("program", &self.program)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Catalog {
        Catalog::new(Arc::new(Metrics::new("shop").unwrap()))
    }

    fn plans(names: &[&str]) -> BTreeMap<String, Digest> {
        names.iter().map(|name| ((*name).to_owned(), Digest::of(name.as_bytes()))).collect()
    }

    #[test]
    fn a_listed_workflow_is_known_before_it_can_serve() {
        let catalog = catalog();
        assert_eq!(catalog.expect(&plans(&["a", "b"])).len(), 2);
        assert_eq!(catalog.report().workflows["a"], ServingState::default());
        assert_eq!(catalog.only(), None);
    }

    #[test]
    fn what_is_no_longer_listed_is_dropped() {
        let catalog = catalog();
        catalog.expect(&plans(&["a", "b"]));
        catalog.expect(&plans(&["b"]));
        assert_eq!(catalog.only().as_deref(), Some("b"));
    }

    #[test]
    fn only_a_hopeless_plan_is_not_loaded_again() {
        let catalog = catalog();
        let listed = plans(&["a", "b"]);
        catalog.expect(&listed);
        let fault = |name: &str, transient| {
            let fault = Fault { plan: listed[name], message: format!("{name} is bad"), transient };
            (name.to_owned(), News::Fault(fault))
        };
        catalog.publish(vec![fault("a", true), fault("b", false)]);
        assert_eq!(catalog.expect(&listed), [("a".to_owned(), listed["a"])]);
        assert_eq!(catalog.report().workflows["b"].fault.as_deref(), Some("b is bad"));
        let newer = [("a".to_owned(), listed["a"]), ("b".to_owned(), Digest::of(b"newer"))].into();
        assert_eq!(catalog.expect(&newer).len(), 2);
    }
}
