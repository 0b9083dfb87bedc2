//! The execution of a program.

use std::{
    sync::OnceLock,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::{
    digest::Digest,
    money::Usd,
    quality::Quality,
    wire::{RunResult, StepResult},
    workflow::Scope,
};
use futures::{StreamExt as _, stream::FuturesUnordered};
use serde_json::Value;

use super::{
    failure::Failure,
    program::{Program, Step},
};
use crate::workers::CallError;

/// What an execution came to.
#[derive(Debug)]
pub struct Execution {
    /// The output of the workflow.
    pub outcome: Result<Value, Failure>,
    /// Share of the checks that held; absent when there was none, or when the execution failed.
    pub quality: Option<Quality>,
    /// Wall-clock time.
    pub latency: Duration,
    /// The steps that succeeded, in the order in which they ended.
    pub steps: Vec<StepResult>,
}

/// The output of a step that succeeded, and how it went.
type Ended = Result<(Value, StepResult), Failure>;

impl Execution {
    /// The execution as the message that the API knows.
    #[must_use]
    pub fn into_result(self, run_id: String, plan: Digest) -> RunResult {
        let (output, error) = match self.outcome {
            Ok(output) => (Some(output), None),
            Err(failure) => (None, Some(failure.into())),
        };
        RunResult {
            run_id,
            plan,
            output,
            error,
            quality: self.quality,
            cost_usd: Usd::ZERO,
            latency_ms: millis(self.latency),
            steps: self.steps,
        }
    }
}

impl Program {
    /// Executes the workflow with an input that fits its schema. Steps that do not depend on each other run at
    /// the same time; the first that fails ends the execution.
    ///
    /// Dropping the future ends it too; it is then counted as cancelled.
    pub async fn execute(&self, input: &Value, deadline: Instant) -> Execution {
        let began = Instant::now();
        let cancelled = Cancelled { program: self };
        let mut steps = Vec::with_capacity(self.steps.len());
        let outcome = self.run_steps(input, deadline, &mut steps).await;
        let latency = began.elapsed();
        std::mem::forget(cancelled);
        let quality = match &outcome {
            Ok(_) => self.count_success(&steps, latency),
            Err(failure) => {
                self.series.failed(failure.reason);
                self.counters.failed();
                None
            }
        };
        Execution { outcome, quality, latency, steps }
    }

    fn count_success(&self, steps: &[StepResult], latency: Duration) -> Option<Quality> {
        let passed = steps.iter().map(|step| u64::from(step.checks_passed)).sum();
        let total = steps.iter().map(|step| u64::from(step.checks_total)).sum();
        let quality = Quality::of_share(passed, total);
        self.series.succeeded(latency.as_secs_f64());
        self.counters.succeeded(quality);
        quality
    }

    async fn run_steps(
        &self,
        input: &Value,
        deadline: Instant,
        ended: &mut Vec<StepResult>,
    ) -> Result<Value, Failure> {
        // Filled as the steps end while the scope already borrows those that have.
        let outputs: Vec<OnceLock<Value>> = self.steps.iter().map(|_| OnceLock::new()).collect();
        let mut waits_for: Vec<usize> = self.steps.iter().map(|step| step.waits_for).collect();
        let mut scope = Scope::new(input);
        let mut running = FuturesUnordered::new();
        for (index, step) in self.steps.iter().enumerate().filter(|(_, step)| step.waits_for == 0) {
            running.push(self.start(index, step, &scope, deadline)?);
        }
        while let Some((index, outcome)) = running.next().await {
            let step = &self.steps[index];
            let (output, result) = outcome?;
            scope.insert_step(&step.name, outputs[index].get_or_init(|| output));
            ended.push(result);
            for &next in &step.unblocks {
                waits_for[next] -= 1;
                if waits_for[next] == 0 {
                    running.push(self.start(next, &self.steps[next], &scope, deadline)?);
                }
            }
        }
        self.result.evaluate(&scope).map_err(|error| Failure::expression(None, &error.to_string()))
    }

    /// Evaluates a step's input now and gives the rest of the step as a future.
    fn start<'a>(
        &'a self,
        index: usize,
        step: &'a Step,
        scope: &Scope<'_>,
        deadline: Instant,
    ) -> Result<impl Future<Output = (usize, Ended)> + use<'a>, Failure> {
        let began = Instant::now();
        let input = step.input.evaluate(scope).map_err(|error| {
            let failure = Failure::expression(Some(&step.name), &error.to_string());
            step.series.failed(failure.reason);
            failure
        })?;
        Ok(async move {
            let outcome = self.run_step(step, &input, began, deadline).await;
            if let Err(failure) = &outcome {
                step.series.failed(failure.reason);
                step.uses.used();
            }
            (index, outcome)
        })
    }

    async fn run_step(&self, step: &Step, input: &Value, began: Instant, deadline: Instant) -> Ended {
        let frame = Bytes::from(input.to_string());
        let limit = began + Duration::from_secs(step.limits.timeout_seconds.into());
        let call = self.workers.call(
            &self.workflow,
            step.function.callable(),
            &step.limits,
            frame,
            limit.min(deadline),
        );
        let reply = call.await.map_err(|error| match error {
            CallError::Deadline { .. } if deadline < limit => Failure::deadline(Some(&step.name)),
            error => Failure::call(&step.name, &error),
        })?;
        let output = reply.value().map_err(|error| Failure::call(&step.name, &error))?;
        step.output.check(&output).map_err(|violation| {
            Failure::invalid_output(&step.name, violation.pointer, &violation.message)
        })?;
        // A check that cannot be evaluated did not hold.
        let held = step.checks.iter().filter(|check| check.holds(input, &output).unwrap_or(false));
        let passed = u32::try_from(held.count()).unwrap_or(u32::MAX);
        let total = u32::try_from(step.checks.len()).unwrap_or(u32::MAX);
        let latency = began.elapsed();
        step.series.succeeded(latency.as_secs_f64(), passed, total);
        step.uses.used();
        let result = StepResult {
            name: step.name.clone(),
            option: step.option.clone(),
            artifact: step.artifact.clone(),
            latency_ms: millis(latency),
            cost_usd: Usd::ZERO,
            checks_passed: passed,
            checks_total: total,
        };
        Ok((output, result))
    }
}

/// Counts an execution whose caller went away. Forgotten when the execution ends.
struct Cancelled<'a> {
    program: &'a Program,
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        self.program.series.failed("Cancelled");
    }
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    // Exact up to 285 years.
    #[allow(clippy::cast_precision_loss)]
    let micros = duration.as_micros() as f64;
    micros / 1000.0
}
