//! Profiles: what was measured about an option by running it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{money::Usd, quality::Quality};

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
