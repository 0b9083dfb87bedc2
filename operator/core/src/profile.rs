//! Profiles: what was measured about an option by running it.

mod composition;
mod statistics;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{money::Usd, quality::Quality};

pub use composition::{Bottleneck, StepProfile, WorkflowProfile};
pub use statistics::{percentile, wilson_lower_bound};

/// Measured numbers of an option. A number that was not measured is absent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// Share of cases passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Lower end of the 95 % Wilson interval of `quality`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality_lower_bound: Option<Quality>,
    /// Median latency in microseconds.
    pub p50_latency_us: u64,
    /// 95th percentile of latency in microseconds.
    pub p95_latency_us: u64,
    /// Cost of one execution.
    pub cost_usd: Usd,
    /// Peak resident memory of the worker in KiB; absent where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_memory_kib: Option<u64>,
    /// How many executions the latencies were taken from.
    pub samples: u64,
    /// When the measurement ended.
    pub measured_at: Timestamp,
}

impl Profile {
    /// The profile of code, which costs nothing to run, from the latencies of its executions in microseconds, the
    /// cases that passed of those that were tried, and the peak memory of its worker in KiB.
    ///
    /// Nothing was measured where nothing was executed.
    #[must_use]
    pub fn measure(
        latencies_us: &[u64],
        passed: u64,
        total: u64,
        peak_memory_kib: Option<u64>,
        measured_at: Timestamp,
    ) -> Option<Self> {
        let mut sorted = latencies_us.to_vec();
        sorted.sort_unstable();
        Some(Self {
            quality: Quality::of_share(passed, total),
            quality_lower_bound: wilson_lower_bound(passed, total),
            p50_latency_us: percentile(&sorted, 50)?,
            p95_latency_us: percentile(&sorted, 95)?,
            cost_usd: Usd::ZERO,
            peak_memory_kib,
            samples: u64::try_from(sorted.len()).unwrap_or(u64::MAX),
            measured_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_what_ran_and_nothing_else() {
        let profile = Profile::measure(&[30, 10, 20], 3, 4, None, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((profile.p50_latency_us, profile.p95_latency_us, profile.samples), (20, 30, 3));
        assert_eq!(profile.quality, Some("0.75".parse().unwrap()));
        assert_eq!(Profile::measure(&[], 0, 0, None, Timestamp::UNIX_EPOCH), None);
        let unjudged = Profile::measure(&[1], 0, 0, Some(7), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((unjudged.quality, unjudged.quality_lower_bound), (None, None));
    }
}
