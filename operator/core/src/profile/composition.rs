//! The profile of a workflow, from those of its steps.

use std::collections::{BTreeMap, BTreeSet};

use crate::{money::Usd, quality::Quality};

use super::Profile;

/// A step of a workflow and the profile of the option that does it.
#[derive(Clone, Copy, Debug)]
pub struct StepProfile<'p> {
    /// The step.
    pub name: &'p str,
    /// The steps that must end first.
    pub depends_on: &'p [String],
    /// What was measured about its option.
    pub profile: &'p Profile,
}

/// What a workflow is expected to do, given what was measured about its steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowProfile {
    /// The product of the qualities of the steps that the result depends on: all of them must succeed. Absent if one
    /// of them was not measured.
    pub quality: Option<Quality>,
    /// Sum of the medians along the longest path, in microseconds.
    pub p50_latency_us: u64,
    /// Sum of the 95th percentiles along the longest path, in microseconds. Steps are not slow all at once, so this
    /// bounds the workflow's 95th percentile from above.
    pub p95_latency_us: u64,
    /// Sum of the costs of all steps.
    pub cost_usd: Usd,
    /// Where improving pays most.
    pub bottleneck: Option<Bottleneck>,
}

/// The step that takes the largest part of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bottleneck {
    /// The step.
    pub step: String,
    /// Its median in percent of the longest path, rounded.
    pub time_percent: u8,
}

/// The longest path that ends at a step.
#[derive(Clone, Copy)]
struct LongestPath<'p> {
    latency_us: u64,
    before: Option<&'p str>,
}

impl WorkflowProfile {
    /// Composes the profiles of `steps`, which are in an order in which they can run; `result` names those that the
    /// result reads.
    ///
    /// Steps that do not wait for each other run at the same time, so latency is that of the critical path (Kelley and
    /// Walker, “Critical-path planning and scheduling”, 1959). The bottleneck is looked for on that path only: making
    /// any other step faster changes nothing.
    #[must_use]
    pub fn compose(steps: &[StepProfile<'_>], result: &BTreeSet<&str>) -> Self {
        let medians = longest_paths(steps, |profile| profile.p50_latency_us);
        let slow = longest_paths(steps, |profile| profile.p95_latency_us);
        let longest = |paths: &BTreeMap<&str, LongestPath<'_>>| paths.values().map(|it| it.latency_us).max();
        Self {
            quality: quality_of_result(steps, result),
            p50_latency_us: longest(&medians).unwrap_or_default(),
            p95_latency_us: longest(&slow).unwrap_or_default(),
            cost_usd: steps.iter().map(|step| step.profile.cost_usd).sum(),
            bottleneck: bottleneck(steps, &medians),
        }
    }
}

fn longest_paths<'p>(
    steps: &[StepProfile<'p>],
    latency_us: impl Fn(&Profile) -> u64,
) -> BTreeMap<&'p str, LongestPath<'p>> {
    let mut paths: BTreeMap<&str, LongestPath<'_>> = BTreeMap::new();
    for step in steps {
        let before = step
            .depends_on
            .iter()
            .filter_map(|name| Some((name.as_str(), paths.get(name.as_str())?.latency_us)));
        let before = before.max_by_key(|(_, latency_us)| *latency_us);
        let waited = before.map_or(0, |(_, latency_us)| latency_us);
        let path = LongestPath {
            latency_us: waited.saturating_add(latency_us(step.profile)),
            before: before.map(|(name, _)| name),
        };
        paths.insert(step.name, path);
    }
    paths
}

fn bottleneck(steps: &[StepProfile<'_>], paths: &BTreeMap<&str, LongestPath<'_>>) -> Option<Bottleneck> {
    let (&end, longest) = paths.iter().max_by_key(|(_, path)| path.latency_us)?;
    let critical: BTreeSet<&str> =
        std::iter::successors(Some(end), |step| paths.get(step).and_then(|path| path.before)).collect();
    let slowest = steps
        .iter()
        .filter(|step| critical.contains(step.name))
        // Of equally slow steps the first: `max_by_key` alone would take the last.
        .rev()
        .max_by_key(|step| step.profile.p50_latency_us)?;
    let (part, whole) = (u128::from(slowest.profile.p50_latency_us), u128::from(longest.latency_us));
    let percent = (part * 200 + whole).checked_div(whole * 2)?;
    Some(Bottleneck { step: slowest.name.to_owned(), time_percent: u8::try_from(percent).ok()? })
}

fn quality_of_result(steps: &[StepProfile<'_>], result: &BTreeSet<&str>) -> Option<Quality> {
    let mut needed = result.clone();
    let mut qualities = Vec::new();
    for step in steps.iter().rev() {
        if needed.contains(step.name) {
            needed.extend(step.depends_on.iter().map(String::as_str));
            qualities.push(step.profile.quality);
        }
    }
    let qualities: Vec<Quality> = qualities.into_iter().collect::<Option<_>>()?;
    (!qualities.is_empty()).then(|| Quality::product(qualities))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    struct Step(&'static str, Vec<String>, Profile);

    fn step(name: &'static str, depends_on: &[&str], milliseconds: u64, quality: Option<&str>) -> Step {
        let latencies = [milliseconds * 1000];
        let profile = Profile::measure(&latencies, 0, 0, None, Timestamp::UNIX_EPOCH).unwrap();
        let quality = quality.map(|quality| quality.parse().unwrap());
        let profile = Profile { quality, cost_usd: "0.01".parse().unwrap(), ..profile };
        Step(name, depends_on.iter().map(|&name| name.to_owned()).collect(), profile)
    }

    fn compose(steps: &[Step], result: &[&str]) -> WorkflowProfile {
        let steps: Vec<StepProfile<'_>> = steps
            .iter()
            .map(|Step(name, depends_on, profile)| StepProfile { name, depends_on, profile })
            .collect();
        WorkflowProfile::compose(&steps, &result.iter().copied().collect())
    }

    #[test]
    fn finds_the_bottleneck_of_a_chain() {
        let steps = [
            step("extract", &[], 50, Some("0.9")),
            step("analyze", &["extract"], 200, Some("0.8")),
            step("format", &["analyze"], 10, Some("1")),
        ];
        let profile = compose(&steps, &["format"]);
        assert_eq!(profile.p50_latency_us, 260_000);
        assert_eq!(profile.bottleneck, Some(Bottleneck { step: "analyze".to_owned(), time_percent: 77 }));
        assert_eq!(profile.quality, Some("0.72".parse().unwrap()));
        assert_eq!(profile.cost_usd, "0.03".parse().unwrap());
    }

    #[test]
    fn counts_only_the_critical_path_of_parallel_steps() {
        let steps = [
            step("a", &[], 100, None),
            step("b", &[], 90, None),
            step("c", &["b"], 80, None),
            step("d", &["a", "c"], 30, None),
        ];
        let profile = compose(&steps, &["d"]);
        assert_eq!(profile.p50_latency_us, 200_000);
        assert_eq!(profile.bottleneck, Some(Bottleneck { step: "b".to_owned(), time_percent: 45 }));
    }

    #[test]
    fn judges_only_the_steps_that_the_result_depends_on() {
        let table = [
            ("0.5", Some("0.5"), &["b"][..], Some("0.25")),
            ("0.5", None, &["a"], Some("0.5")),
            ("0.5", None, &["b"], None),
            ("0.5", None, &[], None),
        ];
        for (a, b, result, expected) in table {
            let profile = compose(&[step("a", &[], 1, Some(a)), step("b", &["a"], 1, b)], result);
            assert_eq!(
                profile.quality,
                expected.map(|quality| quality.parse().unwrap()),
                "{a} {b:?} {result:?}"
            );
        }
    }

    #[test]
    fn survives_what_is_empty_or_takes_no_time() {
        assert_eq!(compose(&[], &[]).bottleneck, None);
        assert_eq!(compose(&[step("a", &[], 0, None)], &["a"]).bottleneck, None);
    }
}
