//! Usage: exact counters of what this process has executed, for the operator to add up.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

use dise_core::{
    money::Usd,
    quality::Quality,
    wire::{ArtifactUsage, UsageReport, WorkflowUsage},
};
use jiff::Timestamp;

use crate::{
    lock,
    sync::client::{Operator, OperatorError},
};

/// A quality has four decimal places, so that this many parts add up exactly.
const QUALITY_PARTS: f64 = 10_000.0;

/// The counters of the process. They only grow; a workflow that is gone stays counted.
#[derive(Debug)]
pub struct Usage {
    pod: String,
    workflows: Mutex<BTreeMap<String, Arc<WorkflowCounters>>>,
}

/// The counters of one workflow, shared by all of its plans.
#[derive(Debug, Default)]
pub struct WorkflowCounters {
    executions: AtomicU64,
    failures: AtomicU64,
    quality_samples: AtomicU64,
    quality_parts: AtomicU64,
    artifacts: Mutex<BTreeMap<String, Arc<ArtifactCounters>>>,
}

/// The counters of one artifact.
#[derive(Debug, Default)]
pub struct ArtifactCounters {
    uses: AtomicU64,
    last_used_micros: AtomicI64,
}

impl Usage {
    /// Counters that are all zero, of the pod of this name.
    #[must_use]
    pub fn new(pod: impl Into<String>) -> Self {
        Self { pod: pod.into(), workflows: Mutex::default() }
    }

    /// The counters of a workflow.
    #[must_use]
    pub fn workflow(&self, name: &str) -> Arc<WorkflowCounters> {
        Arc::clone(lock(&self.workflows).entry(name.to_owned()).or_default())
    }

    /// The counters as they are now. What was never executed is left out.
    #[must_use]
    pub fn report(&self) -> UsageReport {
        let workflows = lock(&self.workflows)
            .iter()
            .filter(|(_, counters)| counters.executions.load(Relaxed) > 0)
            .map(|(name, counters)| (name.clone(), counters.report()))
            .collect();
        UsageReport { pod: self.pod.clone(), workflows }
    }
}

impl WorkflowCounters {
    /// Counts an execution that succeeded, with its quality if checks were evaluated.
    pub fn succeeded(&self, quality: Option<Quality>) {
        self.executions.fetch_add(1, Relaxed);
        if let Some(quality) = quality {
            // Exact: the product is a whole number between 0 and 10 000.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let parts = (quality.as_f64() * QUALITY_PARTS).round() as u64;
            self.quality_parts.fetch_add(parts, Relaxed);
            self.quality_samples.fetch_add(1, Relaxed);
        }
    }

    /// Counts an execution that failed.
    pub fn failed(&self) {
        self.executions.fetch_add(1, Relaxed);
        self.failures.fetch_add(1, Relaxed);
    }

    /// The counters of an artifact that this workflow uses.
    #[must_use]
    pub fn artifact(&self, name: &str) -> Arc<ArtifactCounters> {
        Arc::clone(lock(&self.artifacts).entry(name.to_owned()).or_default())
    }

    fn report(&self) -> WorkflowUsage {
        let artifacts = lock(&self.artifacts)
            .iter()
            .filter_map(|(name, counters)| Some((name.clone(), counters.report()?)))
            .collect();
        // Below 2^53 parts, which is 10^12 executions, the quotient is exact to the last place.
        #[allow(clippy::cast_precision_loss)]
        let quality_sum = self.quality_parts.load(Relaxed) as f64 / QUALITY_PARTS;
        WorkflowUsage {
            executions: self.executions.load(Relaxed),
            failures: self.failures.load(Relaxed),
            quality_samples: self.quality_samples.load(Relaxed),
            quality_sum,
            cost_usd: Usd::ZERO,
            artifacts,
        }
    }
}

impl ArtifactCounters {
    /// Counts one use, now.
    pub fn used(&self) {
        self.uses.fetch_add(1, Relaxed);
        self.last_used_micros.fetch_max(Timestamp::now().as_microsecond(), Relaxed);
    }

    fn report(&self) -> Option<ArtifactUsage> {
        let uses = self.uses.load(Relaxed);
        let last_used = Timestamp::from_microsecond(self.last_used_micros.load(Relaxed)).ok()?;
        (uses > 0).then_some(ArtifactUsage { uses, last_used })
    }
}

/// Hands the counters to the operator when they changed.
#[derive(Debug)]
pub struct Reporter {
    usage: Arc<Usage>,
    boot: String,
    delivered: UsageReport,
}

impl Reporter {
    /// A reporter of `usage` under the id of this process, which is unique to it.
    #[must_use]
    pub fn new(usage: Arc<Usage>, boot: String) -> Self {
        let delivered = UsageReport { pod: usage.pod.clone(), workflows: BTreeMap::new() };
        Self { usage, boot, delivered }
    }

    /// Delivers the counters unless the operator has them already. Whether there was something to deliver.
    ///
    /// # Errors
    /// The operator did not take them; the next call tries again with newer ones.
    pub async fn push(&mut self, operator: &Operator) -> Result<bool, OperatorError> {
        let report = self.usage.report();
        if report == self.delivered {
            return Ok(false);
        }
        operator.put_usage(&self.boot, &report).await?;
        self.delivered = report;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_only_what_was_executed() {
        let usage = Usage::new("pod-1");
        let _idle = usage.workflow("idle").artifact("never");
        usage.workflow("busy").succeeded(None);
        usage.workflow("busy").artifact("a-1").used();
        let report = usage.report();
        assert_eq!(report.workflows.keys().collect::<Vec<_>>(), ["busy"]);
        assert_eq!(report.workflows["busy"].artifacts["a-1"].uses, 1);
    }

    #[test]
    fn qualities_add_up_without_drift() {
        let usage = Usage::new("pod-1");
        let counters = usage.workflow("w");
        for _ in 0..10 {
            counters.succeeded(Some("0.1".parse().unwrap()));
        }
        counters.failed();
        let report = &usage.report().workflows["w"];
        assert_eq!((report.executions, report.failures, report.quality_samples), (11, 1, 10));
        assert!((report.quality_sum - 1.0).abs() < f64::EPSILON);
    }
}
