//! The operator's own metrics.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder, core::Collector,
    exponential_buckets,
};

/// Counters and histograms of the operator, all with bounded labels. Clones share them.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    reconcile_seconds: HistogramVec,
    reconcile_errors: IntCounterVec,
}

impl Metrics {
    /// Registers all of them.
    ///
    /// # Errors
    /// Two metrics have one name, which is a mistake in this module.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let reconcile_seconds = HistogramVec::new(
            HistogramOpts::new("dise_reconcile_seconds", "How long reconciles take, by kind.")
                .buckets(exponential_buckets(0.001, 4.0, 8)?),
            &["kind"],
        )?;
        let reconcile_errors = IntCounterVec::new(
            Opts::new("dise_reconcile_errors_total", "Reconciles that failed and are tried again."),
            &["kind", "error"],
        )?;
        for metric in
            [Box::new(reconcile_seconds.clone()) as Box<dyn Collector>, Box::new(reconcile_errors.clone())]
        {
            registry.register(metric)?;
        }
        Ok(Self { registry, reconcile_seconds, reconcile_errors })
    }

    /// Counts a reconcile that took `elapsed`.
    pub fn reconciled(&self, kind: &str, elapsed: Duration) {
        self.reconcile_seconds.with_label_values(&[kind]).observe(elapsed.as_secs_f64());
    }

    /// Counts a failure, named by a word of a fixed set.
    pub fn error(&self, kind: &str, error: &'static str) {
        self.reconcile_errors.with_label_values(&[kind, error]).inc();
    }

    /// The Prometheus text format.
    ///
    /// # Errors
    /// A metric holds no samples in a way that the format cannot express.
    pub fn render(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renders_what_was_counted() {
        let metrics = Metrics::new().unwrap();
        metrics.error("Workflow", "store");
        metrics.reconciled("Workflow", Duration::from_millis(2));
        let text = metrics.render().unwrap();
        assert!(text.contains(r#"dise_reconcile_errors_total{error="store",kind="Workflow"} 1"#), "{text}");
        assert!(text.contains(r#"dise_reconcile_seconds_count{kind="Workflow"} 1"#), "{text}");
    }
}
