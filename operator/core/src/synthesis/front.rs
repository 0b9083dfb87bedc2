//! Which of the functions that passed are worth keeping, and which one serves.

use crate::{digest::Digest, money::Usd, quality::Quality};

/// What was measured about a function that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measured {
    /// The function.
    pub function: Digest,
    /// Share of all cases passed, the generated ones included.
    pub quality: Option<Quality>,
    /// 95th percentile of latency in microseconds; absent when it was not measured.
    pub p95_latency_us: Option<u64>,
    /// Cost of one execution.
    pub cost_usd: Usd,
    /// Bytes of its source.
    pub size: usize,
}

impl Measured {
    /// Whether this one is nowhere worse than `other` and somewhere better (Pareto dominance). What was not measured
    /// is worse than any number.
    #[must_use]
    pub fn dominates(&self, other: &Self) -> bool {
        let latency = |measured: &Self| measured.p95_latency_us.unwrap_or(u64::MAX);
        let no_worse = self.quality >= other.quality
            && latency(self) <= latency(other)
            && self.cost_usd <= other.cost_usd;
        let better =
            self.quality > other.quality || latency(self) < latency(other) || self.cost_usd < other.cost_usd;
        no_worse && better
    }
}

/// The Pareto front of (quality, p95, cost): those that no other one dominates, in their order.
#[must_use]
pub fn front(measured: &[Measured]) -> Vec<Measured> {
    let beaten = |one: &Measured| measured.iter().any(|other| other.dominates(one));
    measured.iter().filter(|one| !beaten(one)).copied().collect()
}

/// The one that shall serve: the best quality, then the lowest cost, then the lowest p95, then the shortest source.
/// Latencies of the same power of two count as equal, for they are measured on a machine that does other things too.
#[must_use]
pub fn prefer(measured: &[Measured]) -> Option<Measured> {
    let magnitude = |latency: Option<u64>| latency.map_or(u32::MAX, |latency| latency.max(1).ilog2());
    measured
        .iter()
        .min_by_key(|one| {
            let latency = magnitude(one.p95_latency_us);
            (std::cmp::Reverse(one.quality), one.cost_usd, latency, one.size, one.function)
        })
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, quality: &str, p95: Option<u64>, size: usize) -> Measured {
        Measured {
            function: Digest::of(name.as_bytes()),
            quality: Some(quality.parse().unwrap()),
            p95_latency_us: p95,
            cost_usd: Usd::ZERO,
            size,
        }
    }

    #[test]
    fn keeps_what_is_best_in_some_respect() {
        let good = measured("good", "1", Some(900), 10);
        let fast = measured("fast", "0.9", Some(90), 10);
        let neither = measured("neither", "0.9", Some(900), 10);
        assert_eq!(front(&[neither, good, fast]), [good, fast]);
    }

    #[test]
    fn keeps_equals() {
        let (one, two) = (measured("one", "1", Some(5), 1), measured("two", "1", Some(5), 2));
        assert_eq!(front(&[one, two]), [one, two]);
    }

    #[test]
    fn takes_what_was_not_measured_for_the_worst() {
        let (known, unknown) = (measured("k", "1", Some(u64::MAX - 1), 1), measured("u", "1", None, 1));
        assert_eq!(front(&[unknown, known]), [known]);
    }

    #[test]
    fn prefers_quality_then_speed_then_brevity() {
        let slow = measured("slow", "1", Some(5000), 10);
        let fast = measured("fast", "0.9", Some(50), 10);
        assert_eq!(prefer(&[fast, slow]), Some(slow));
        let (noisy, short) = (measured("noisy", "1", Some(70), 99), measured("short", "1", Some(90), 10));
        assert_eq!(prefer(&[noisy, short]), Some(short));
        assert_eq!(prefer(&[]), None);
    }
}
