//! Prometheus metrics of the executions, with handles that are resolved once per plan.
//!
//! A series lives as long as something holds its handle: the plan that is served, a request that is still
//! running on a former plan, or the [linger](Metrics::linger) list that lets Prometheus see the last increments.
//! Removed workflows and former generations therefore leave no series behind, and the number of series is
//! bounded by what is served.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, OnceLock, Weak},
    time::{Duration, Instant},
};

use prometheus::{
    Counter, CounterVec, Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, Opts, Registry, TextEncoder,
};

use crate::{interner::Interner, lock};

/// The content type of [`Metrics::render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The outcome label of what succeeded; a failure is labelled with its reason.
pub const SUCCEEDED: &str = "Succeeded";

/// How long the series of what is no longer served stay visible: two scrapes at the usual interval.
const LINGER: Duration = Duration::from_mins(2);

const EXECUTION: &[&str] = &["namespace", "workflow", "outcome"];
const WORKFLOW: &[&str] = &["namespace", "workflow"];
const REJECTION: &[&str] = &["namespace", "workflow", "reason"];
const STEP: &[&str] = &["namespace", "workflow", "step", "option", "generation"];
const STEP_OUTCOME: &[&str] = &["namespace", "workflow", "step", "option", "generation", "outcome"];

/// From a lookup to a long conversation with a model, in seconds.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    namespace: String,
    vectors: Arc<Vectors>,
    workers: IntGauge,
    workflows: Arc<Interner<String, WorkflowSeries>>,
    steps: Arc<Interner<StepLabels, StepSeries>>,
    lingering: Mutex<Vec<(Instant, Series)>>,
}

/// A handle of any kind, kept only so that its series stays.
pub type Series = Arc<dyn Any + Send + Sync>;

struct Vectors {
    executions: IntCounterVec,
    execution_seconds: HistogramVec,
    rejections: IntCounterVec,
    steps: IntCounterVec,
    step_seconds: HistogramVec,
    step_quality_sum: CounterVec,
    step_quality_count: IntCounterVec,
}

/// What tells the series of one option of a step from all others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StepLabels {
    /// The workflow.
    pub workflow: String,
    /// The step.
    pub step: String,
    /// The option.
    pub option: String,
    /// The generation of the option's code.
    pub generation: i64,
}

impl Metrics {
    /// Registers every metric, labelled with the namespace that is served.
    ///
    /// # Errors
    /// None in practice: the names are constants and the registry is new.
    pub fn new(namespace: &str) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let vectors = Vectors::register(&registry)?;
        let workers = IntGauge::new("dise_workers", "Worker processes that are alive.")?;
        registry.register(Box::new(workers.clone()))?;
        Ok(Self {
            registry,
            namespace: namespace.to_owned(),
            vectors: Arc::new(vectors),
            workers,
            workflows: Arc::default(),
            steps: Arc::default(),
            lingering: Mutex::default(),
        })
    }

    /// The series of a workflow, shared by all of its plans.
    #[must_use]
    pub fn workflow(&self, name: &str) -> Arc<WorkflowSeries> {
        self.workflows.intern(name.to_owned(), || {
            let labels = [self.namespace.as_str(), name];
            WorkflowSeries {
                succeeded: self.vectors.executions.with_label_values(&[labels[0], labels[1], SUCCEEDED]),
                seconds: OnceLock::new(),
                reasons: Mutex::default(),
                namespace: self.namespace.clone(),
                workflow: name.to_owned(),
                vectors: Arc::clone(&self.vectors),
                home: Arc::downgrade(&self.workflows),
            }
        })
    }

    /// The series of one option of a step.
    #[must_use]
    pub fn step(&self, labels: StepLabels) -> Arc<StepSeries> {
        self.steps.intern(labels.clone(), || StepSeries {
            live: OnceLock::new(),
            reasons: Mutex::default(),
            generation: labels.generation.to_string(),
            labels,
            namespace: self.namespace.clone(),
            vectors: Arc::clone(&self.vectors),
            home: Arc::downgrade(&self.steps),
        })
    }

    /// Keeps `series` for two more scrapes although nothing serves them any longer.
    pub fn linger(&self, series: impl IntoIterator<Item = Series>) {
        let until = Instant::now() + LINGER;
        lock(&self.lingering).extend(series.into_iter().map(|series| (until, series)));
    }

    /// Lets go of what has lingered long enough.
    pub fn expire(&self, now: Instant) {
        let (keep, expired): (Vec<_>, Vec<_>) =
            lock(&self.lingering).drain(..).partition(|(until, _)| *until > now);
        lock(&self.lingering).extend(keep);
        // Dropped outside of the lock: a handle takes another lock when it goes.
        drop(expired);
    }

    /// States how many worker processes are alive.
    pub fn set_workers(&self, count: usize) {
        self.workers.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// The metrics in the text format of Prometheus.
    ///
    /// # Errors
    /// None in practice: a metric that has no name or no samples.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Vectors {
    fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels| -> Result<IntCounterVec, prometheus::Error> {
            let vector = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(vector.clone()))?;
            Ok(vector)
        };
        let histogram = |name, help, labels| -> Result<HistogramVec, prometheus::Error> {
            let vector = HistogramVec::new(HistogramOpts::new(name, help).buckets(BUCKETS.to_vec()), labels)?;
            registry.register(Box::new(vector.clone()))?;
            Ok(vector)
        };
        let step_quality_sum = CounterVec::new(
            Opts::new("dise_step_quality_sum", "Sum over executions of the share of checks that held."),
            STEP,
        )?;
        registry.register(Box::new(step_quality_sum.clone()))?;
        Ok(Self {
            executions: counter("dise_executions_total", "Executions that ended.", EXECUTION)?,
            execution_seconds: histogram(
                "dise_execution_seconds",
                "Wall-clock time of successful executions.",
                WORKFLOW,
            )?,
            rejections: counter(
                "dise_rejections_total",
                "Requests that were answered without an execution.",
                REJECTION,
            )?,
            steps: counter("dise_step_executions_total", "Step executions that ended.", STEP_OUTCOME)?,
            step_seconds: histogram(
                "dise_step_seconds",
                "Wall-clock time of successful step executions.",
                STEP,
            )?,
            step_quality_sum,
            step_quality_count: counter(
                "dise_step_quality_count",
                "Step executions whose checks were evaluated.",
                STEP,
            )?,
        })
    }
}

/// The series of a workflow.
pub struct WorkflowSeries {
    succeeded: IntCounter,
    seconds: OnceLock<Histogram>,
    /// The outcomes and rejections that occurred, so that they can be removed.
    reasons: Mutex<Vec<(Kind, String)>>,
    namespace: String,
    workflow: String,
    vectors: Arc<Vectors>,
    home: Weak<Interner<String, WorkflowSeries>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Failure,
    Rejection,
}

impl WorkflowSeries {
    /// Counts an execution that succeeded.
    pub fn succeeded(&self, seconds: f64) {
        self.succeeded.inc();
        self.seconds
            .get_or_init(|| {
                let labels = [self.namespace.as_str(), self.workflow.as_str()];
                self.vectors.execution_seconds.with_label_values(&labels)
            })
            .observe(seconds);
    }

    /// Counts an execution that failed.
    pub fn failed(&self, reason: &str) {
        self.count(Kind::Failure, &self.vectors.executions, reason);
    }

    /// Counts a request that was answered without an execution.
    pub fn rejected(&self, reason: &str) {
        self.count(Kind::Rejection, &self.vectors.rejections, reason);
    }

    fn count(&self, kind: Kind, vector: &IntCounterVec, reason: &str) {
        let mut reasons = lock(&self.reasons);
        if !reasons.iter().any(|(k, known)| *k == kind && known == reason) {
            reasons.push((kind, reason.to_owned()));
        }
        vector.with_label_values(&[&self.namespace, &self.workflow, reason]).inc();
    }
}

impl Drop for WorkflowSeries {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        home.forget(&self.workflow, || {
            let labels = [self.namespace.as_str(), self.workflow.as_str()];
            // A series that never came to be is no fault.
            drop(self.vectors.executions.remove_label_values(&[labels[0], labels[1], SUCCEEDED]));
            drop(self.vectors.execution_seconds.remove_label_values(&labels));
            for (kind, reason) in lock(&self.reasons).drain(..) {
                let vector = match kind {
                    Kind::Failure => &self.vectors.executions,
                    Kind::Rejection => &self.vectors.rejections,
                };
                drop(vector.remove_label_values(&[labels[0], labels[1], reason.as_str()]));
            }
        });
    }
}

/// The series of one option of a step. They come to be with the first execution: an idle workflow costs nothing.
pub struct StepSeries {
    live: OnceLock<LiveStep>,
    reasons: Mutex<Vec<String>>,
    labels: StepLabels,
    generation: String,
    namespace: String,
    vectors: Arc<Vectors>,
    home: Weak<Interner<StepLabels, StepSeries>>,
}

struct LiveStep {
    succeeded: IntCounter,
    seconds: Histogram,
    quality: OnceLock<(Counter, IntCounter)>,
}

impl StepSeries {
    /// Counts a step execution that succeeded, with the checks that held of those that were evaluated.
    pub fn succeeded(&self, seconds: f64, passed: u32, total: u32) {
        let live = self.live.get_or_init(|| LiveStep {
            succeeded: self.vectors.steps.with_label_values(&self.with_outcome(SUCCEEDED)),
            seconds: self.vectors.step_seconds.with_label_values(&self.values()),
            quality: OnceLock::new(),
        });
        live.succeeded.inc();
        live.seconds.observe(seconds);
        if total > 0 {
            let (sum, count) = live.quality.get_or_init(|| {
                let values = self.values();
                (
                    self.vectors.step_quality_sum.with_label_values(&values),
                    self.vectors.step_quality_count.with_label_values(&values),
                )
            });
            sum.inc_by(f64::from(passed) / f64::from(total));
            count.inc();
        }
    }

    /// Counts a step execution that failed.
    pub fn failed(&self, reason: &str) {
        let mut reasons = lock(&self.reasons);
        if !reasons.iter().any(|known| known == reason) {
            reasons.push(reason.to_owned());
        }
        self.vectors.steps.with_label_values(&self.with_outcome(reason)).inc();
    }

    fn values(&self) -> [&str; 5] {
        let labels = &self.labels;
        [&self.namespace, &labels.workflow, &labels.step, &labels.option, &self.generation]
    }

    fn with_outcome<'a>(&'a self, outcome: &'a str) -> [&'a str; 6] {
        let [namespace, workflow, step, option, generation] = self.values();
        [namespace, workflow, step, option, generation, outcome]
    }
}

impl Drop for StepSeries {
    fn drop(&mut self) {
        let Some(home) = self.home.upgrade() else { return };
        home.forget(&self.labels, || {
            let values = self.values();
            drop(self.vectors.steps.remove_label_values(&self.with_outcome(SUCCEEDED)));
            drop(self.vectors.step_seconds.remove_label_values(&values));
            drop(self.vectors.step_quality_sum.remove_label_values(&values));
            drop(self.vectors.step_quality_count.remove_label_values(&values));
            for reason in lock(&self.reasons).drain(..) {
                drop(self.vectors.steps.remove_label_values(&self.with_outcome(&reason)));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(generation: i64) -> StepLabels {
        StepLabels { workflow: "w".into(), step: "s".into(), option: "code".into(), generation }
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().unwrap()).unwrap()
    }

    #[test]
    fn a_series_goes_with_its_last_handle() {
        let metrics = Metrics::new("shop").unwrap();
        let (first, second) = (metrics.step(labels(1)), metrics.step(labels(1)));
        first.succeeded(0.01, 1, 2);
        first.failed("OutputInvalid");
        drop(first);
        assert!(text(&metrics).contains("dise_step_quality_sum"));
        drop(second);
        assert!(!text(&metrics).contains("step=\"s\""), "{}", text(&metrics));
    }

    #[test]
    fn a_lingering_series_stays_until_it_expires() {
        let metrics = Metrics::new("shop").unwrap();
        let workflow = metrics.workflow("w");
        workflow.succeeded(0.01);
        workflow.rejected("Overloaded");
        metrics.linger([workflow as Series]);
        metrics.expire(Instant::now());
        assert!(text(&metrics).contains("reason=\"Overloaded\""));
        metrics.expire(Instant::now() + LINGER);
        assert!(!text(&metrics).contains("workflow=\"w\""));
    }

    #[test]
    fn equal_labels_share_one_series() {
        let metrics = Metrics::new("shop").unwrap();
        metrics.workflow("w").succeeded(0.01);
        let kept = metrics.workflow("w");
        kept.succeeded(0.01);
        metrics.workflow("w").succeeded(0.01);
        let expected = "dise_executions_total{namespace=\"shop\",outcome=\"Succeeded\",workflow=\"w\"} 2";
        assert!(text(&metrics).contains(expected), "{}", text(&metrics));
    }

    #[test]
    fn an_idle_step_has_no_series() {
        let metrics = Metrics::new("shop").unwrap();
        let _idle = metrics.step(labels(1));
        assert!(!text(&metrics).contains("generation"));
    }
}
