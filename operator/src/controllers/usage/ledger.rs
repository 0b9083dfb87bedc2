//! The sums of usage reports. Pure.
//!
//! Each runner process reports counters that only grow, under an id of its own. The newest report of a process
//! replaces its older ones, so the sum over processes is exact however often a report is sent or the operator starts.

use std::collections::{BTreeMap, BTreeSet};

use dise_core::wire::{UsageReport, WorkflowUsage};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The counts of all workflows of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Totals {
    /// By workflow name.
    pub(super) workflows: BTreeMap<String, WorkflowUsage>,
}

/// What processes that are gone had executed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Folded {
    /// Their counts.
    pub(super) totals: Totals,
    /// The processes of the last fold, whose reports may still have to be deleted.
    pub(super) boots: BTreeSet<String>,
}

/// Moves the reports of pods that are no longer `alive` from `live` into `folded`; returns whose reports are to be
/// deleted.
pub(super) fn fold(
    folded: &mut Folded,
    live: &mut BTreeMap<String, UsageReport>,
    alive: &BTreeSet<String>,
) -> BTreeSet<String> {
    let gone: BTreeSet<String> = live
        .iter()
        .filter(|(_, report)| !alive.contains(&report.pod))
        .map(|(boot, _)| boot.clone())
        .collect();
    for boot in &gone {
        if let Some(report) = live.remove(boot) {
            add(&mut folded.totals, &report.workflows);
        }
    }
    if !gone.is_empty() {
        folded.boots.clone_from(&gone);
    }
    gone
}

/// The counts of all processes together.
pub(super) fn sum(folded: &Folded, live: &BTreeMap<String, UsageReport>) -> Totals {
    let mut totals = folded.totals.clone();
    for report in live.values() {
        add(&mut totals, &report.workflows);
    }
    totals
}

/// The mean cost of an execution in US dollars, as the API writes it.
#[must_use]
pub fn cost_per_run(usage: &WorkflowUsage) -> Option<String> {
    let cost = usage.cost_usd.as_decimal().checked_div(Decimal::from(usage.executions))?;
    Some(cost.round_dp(9).normalize().to_string())
}

fn add(totals: &mut Totals, workflows: &BTreeMap<String, WorkflowUsage>) {
    for (name, usage) in workflows {
        let total = totals.workflows.entry(name.clone()).or_default();
        total.executions = total.executions.saturating_add(usage.executions);
        total.failures = total.failures.saturating_add(usage.failures);
        total.quality_samples = total.quality_samples.saturating_add(usage.quality_samples);
        total.quality_sum += usage.quality_sum;
        total.cost_usd = total.cost_usd + usage.cost_usd;
        for (artifact, usage) in &usage.artifacts {
            total
                .artifacts
                .entry(artifact.clone())
                .and_modify(|total| {
                    total.uses = total.uses.saturating_add(usage.uses);
                    total.last_used = total.last_used.max(usage.last_used);
                })
                .or_insert_with(|| usage.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use dise_core::wire::ArtifactUsage;
    use jiff::Timestamp;

    use super::*;

    fn report(pod: &str, executions: u64) -> UsageReport {
        let used = ArtifactUsage { uses: executions, last_used: Timestamp::UNIX_EPOCH };
        let usage = WorkflowUsage {
            executions,
            artifacts: [("a".to_owned(), used)].into(),
            ..WorkflowUsage::default()
        };
        UsageReport { pod: pod.to_owned(), workflows: [("w".to_owned(), usage)].into() }
    }

    fn count(totals: &Totals) -> (u64, u64) {
        let usage = &totals.workflows["w"];
        (usage.executions, usage.artifacts["a"].uses)
    }

    #[test]
    fn adds_up_all_processes() {
        let live = [("1".to_owned(), report("p", 3)), ("2".to_owned(), report("q", 4))].into();
        assert_eq!(count(&sum(&Folded::default(), &live)), (7, 7));
    }

    #[test]
    fn folding_what_is_gone_changes_no_sum() {
        let mut live = BTreeMap::from([("1".to_owned(), report("p", 3)), ("2".to_owned(), report("q", 4))]);
        let mut folded = Folded::default();
        let gone = fold(&mut folded, &mut live, &BTreeSet::from(["q".to_owned()]));
        assert_eq!(gone, BTreeSet::from(["1".to_owned()]));
        assert_eq!(live.len(), 1);
        assert_eq!(count(&sum(&folded, &live)), (7, 7));
        assert_eq!(folded.boots, gone);
    }

    #[test]
    fn a_mean_cost_needs_an_execution() {
        assert_eq!(cost_per_run(&WorkflowUsage::default()), None);
        let usage = WorkflowUsage { executions: 4, cost_usd: "0.01".parse().unwrap(), ..Default::default() };
        assert_eq!(cost_per_run(&usage).unwrap(), "0.0025");
    }
}
