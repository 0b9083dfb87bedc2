//! Proves a function by running its examples in the jail, and measures it.

mod coverage;
mod difference;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::{
    function::Language,
    profile::Profile,
    verification::{CaseFailure, Example, VerificationReport, VerificationRequest},
    workflow::{Predicate, Schema},
};
use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use crate::workers::{CallError, Callable, Workers};

/// Failing cases that a report describes.
const FAILURES_TOLD: usize = 10;
/// How long a warm function is measured, at most, once there are [`FEWEST_SAMPLES`].
const MEASURED_FOR: Duration = Duration::from_millis(300);
/// How long it is measured at the very most, so that a slow function is not run for minutes.
const MEASURED_AT_MOST: Duration = Duration::from_secs(5);
const FEWEST_SAMPLES: usize = 20;
const MOST_SAMPLES: usize = 500;
/// How long a call may wait for a worker on top of its own time.
const WAIT: Duration = Duration::from_secs(30);

/// Why a verification says nothing about the function.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum VerifyError {
    /// The request is malformed: its schema, a check's expression or an example.
    #[error("the verification request is malformed: {0}")]
    Request(String),
    /// The workers could not run anything.
    #[error(transparent)]
    Workers(#[from] CallError),
}

/// Runs a verification. The verdict depends on the request alone; the measured numbers on the machine too.
///
/// `runner` is the version that the report names. Without examples a function only has to load.
///
/// # Errors
/// [`VerifyError`]: the request itself is at fault or nothing can be run here; neither says anything of the function.
pub async fn verify(
    workers: &Workers,
    request: &VerificationRequest,
    runner: &str,
) -> Result<VerificationReport, VerifyError> {
    let digest = request.digest().map_err(|error| VerifyError::Request(error.to_string()))?;
    let judge = Judge::new(request)?;
    let bench = Bench::new(workers, request);
    let mut report = VerificationReport {
        fault: bench.load().await?,
        ..VerificationReport::new(digest, bench.callable.digest(), runner, Timestamp::now())
    };
    if report.fault.is_none() {
        let Ran { returned, harmless } = bench.run_examples(&judge, &mut report).await?;
        let latencies = bench.measure(&returned).await;
        let total = u64::from(report.passed) + u64::from(report.failed);
        let peak = bench.peak_memory_kib();
        report.coverage_percent = coverage::measure(workers, request, &harmless).await;
        report.profile = Profile::measure(&latencies, report.passed.into(), total, peak, Timestamp::now());
    }
    report.at = Timestamp::now();
    Ok(report)
}

/// Decides whether an output passes.
struct Judge<'r> {
    schema: Schema,
    checks: Vec<(&'r str, Predicate)>,
}

impl<'r> Judge<'r> {
    fn new(request: &'r VerificationRequest) -> Result<Self, VerifyError> {
        let schema = Schema::compile(&request.output)
            .map_err(|error| VerifyError::Request(format!("the schema of the output: {error}")))?;
        let checks = request.checks.iter().map(|check| match Predicate::parse(&check.expression) {
            Ok(predicate) => Ok((check.name.as_str(), predicate)),
            Err(error) => Err(VerifyError::Request(format!("check `{}`: {error}", check.name))),
        });
        Ok(Self { schema, checks: checks.collect::<Result<_, _>>()? })
    }

    /// What is wrong with an output, in the order in which it is most useful to know.
    fn fault(&self, example: &Example, output: &Value) -> Option<String> {
        if let Some(difference) = difference::first(&example.output, output) {
            return Some(difference);
        }
        if let Err(violation) = self.schema.check(output) {
            return Some(format!("the output does not fit the schema: {violation}"));
        }
        self.checks.iter().find_map(|(name, check)| match check.holds(&example.input, output) {
            Ok(true) => None,
            Ok(false) => Some(format!("check `{name}` does not hold")),
            Err(error) => Some(format!("check `{name}` cannot be evaluated: {error}")),
        })
    }
}

/// The inputs of the examples, by what came of them.
#[derive(Default)]
struct Ran<'r> {
    /// There was an output.
    returned: Vec<Bytes>,
    /// The call came to its end, with or without an output.
    harmless: Vec<&'r Value>,
}

/// Whether the call may have come to its end with its worker's, so that it is not to be run in another process.
fn ends_process(error: &CallError) -> bool {
    use CallError::{Deadline, Died, Memory, PrintedTooMuch, Protocol};
    matches!(error, Deadline { .. } | Died { .. } | Memory { .. } | PrintedTooMuch { .. } | Protocol { .. })
}

/// A function under test, in workers of its own.
struct Bench<'r> {
    workers: &'r Workers,
    request: &'r VerificationRequest,
    callable: Arc<Callable>,
    tenant: String,
}

impl<'r> Bench<'r> {
    fn new(workers: &'r Workers, request: &'r VerificationRequest) -> Self {
        let callable = Callable::new(request.function.clone());
        Self { workers, request, callable, tenant: format!("verification {}", Uuid::new_v4()) }
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.request.limits.timeout_seconds.into())
    }

    /// Why the function cannot be loaded.
    async fn load(&self) -> Result<Option<String>, CallError> {
        let deadline = Instant::now() + self.time() + WAIT;
        match self.workers.load(&self.tenant, &self.callable, &self.request.limits, deadline).await {
            Ok(()) => Ok(None),
            Err(error) if error.is_transient() => Err(error),
            Err(error) => Ok(Some(error.to_string())),
        }
    }

    async fn call(&self, input: Bytes) -> Result<(Value, Duration), CallError> {
        // A worker that has to be started first must not be charged to the function.
        if self.request.function.language == Language::Python {
            let ready = Instant::now() + self.time() + WAIT;
            self.workers.load(&self.tenant, &self.callable, &self.request.limits, ready).await?;
        }
        let deadline = Instant::now() + self.time();
        let reply =
            self.workers.call(&self.tenant, &self.callable, &self.request.limits, input, deadline).await?;
        Ok((reply.value()?, reply.elapsed))
    }

    /// Judges every example.
    async fn run_examples(
        &self,
        judge: &Judge<'_>,
        report: &mut VerificationReport,
    ) -> Result<Ran<'r>, VerifyError> {
        let mut ran = Ran::default();
        for (index, example) in (0..).zip(&self.request.examples) {
            let text = serde_json::to_vec(&example.input)
                .map_err(|error| VerifyError::Request(error.to_string()))?;
            let input = Bytes::from(text);
            let fault = match self.call(input.clone()).await {
                Ok((output, _)) => {
                    ran.returned.push(input);
                    ran.harmless.push(&example.input);
                    judge.fault(example, &output)
                }
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(error) => {
                    if !ends_process(&error) {
                        ran.harmless.push(&example.input);
                    }
                    Some(error.to_string())
                }
            };
            match fault {
                None => report.passed += 1,
                Some(message) => {
                    report.failed += 1;
                    if report.failures.len() < FAILURES_TOLD {
                        report.failures.push(CaseFailure { example: index, message });
                    }
                }
            }
        }
        Ok(ran)
    }

    /// The latencies of warm calls in microseconds, rounded up: nothing takes no time.
    async fn measure(&self, inputs: &[Bytes]) -> Vec<u64> {
        let mut latencies = Vec::new();
        let start = Instant::now();
        for input in inputs.iter().cycle() {
            let spent = start.elapsed();
            let enough = latencies.len() >= FEWEST_SAMPLES && spent >= MEASURED_FOR;
            if enough || latencies.len() >= MOST_SAMPLES || spent >= MEASURED_AT_MOST {
                break;
            }
            // What ran once and fails now is not measured; the verdict stands.
            let Ok((_, elapsed)) = self.call(input.clone()).await else { break };
            latencies.push(u64::try_from(elapsed.as_nanos().div_ceil(1000)).unwrap_or(u64::MAX));
        }
        latencies
    }

    fn peak_memory_kib(&self) -> Option<u64> {
        self.workers.peak_memory_kib(&self.tenant, &self.callable, &self.request.limits)
    }
}

impl Drop for Bench<'_> {
    fn drop(&mut self) {
        self.workers.forget(&self.tenant, &self.callable);
    }
}
