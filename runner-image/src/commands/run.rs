//! `run`: executes one run and delivers what it came to.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use dise_core::{
    money::Usd,
    wire::{RunAssignment, RunError, RunResult},
};
use tokio::time::{Instant, sleep};

use super::{OperatorArgs, WorkerArgs};
use crate::{
    engine::{Compiler, Execution, Program},
    metrics::Metrics,
    sync::{
        backoff::Backoff,
        blobs::Blobs,
        client::{Operator, OperatorError},
        take_up::{LoadError, Loader},
    },
    usage::{Reporter, Usage},
    workers::Workers,
};

/// How long the operator is waited for: long enough for a rolling update, and a Job tries again.
const PATIENCE: Duration = Duration::from_mins(2);

/// Tries to deliver the usage. The result is what matters, and by then it is delivered.
const USAGE_TRIES: usize = 3;

/// The most that is kept of a run's time for delivering what it came to: the Job is ended with the run's deadline.
const DELIVERY: Duration = Duration::from_secs(2);

/// Settings of `run`.
#[derive(Clone, Debug, Args)]
pub struct Run {
    /// The operator.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// The workers.
    #[command(flatten)]
    pub workers: WorkerArgs,
    /// Name of the `WorkflowRun`.
    #[arg(long)]
    pub name: String,
}

impl Run {
    /// Executes the run. An execution that fails is a result like any other.
    ///
    /// # Errors
    /// The assignment cannot be had or the result cannot be delivered.
    pub async fn execute(self) -> anyhow::Result<()> {
        let operator = self.operator.operator()?;
        // The question is on its way while the jail is built.
        let fetching = tokio::spawn({
            let (operator, name) = (Arc::clone(&operator), self.name.clone());
            async move { persist(|| operator.run(&name)).await }
        });
        let workers = self.workers.workers().context("functions cannot be run here")?;
        let assignment = fetching.await?.with_context(|| format!("cannot get the run `{}`", self.name))?;
        let usage = Arc::new(Usage::new(self.operator.pod_name.clone()));
        let metrics = Arc::new(Metrics::new(&self.operator.pod_namespace)?);
        let compiler = Arc::new(Compiler::new(Arc::clone(&workers), metrics, Arc::clone(&usage)));
        let result = result(&operator, &compiler, &assignment).await?;
        println!("{}", summary(&self.name, &assignment.workflow, &result));
        persist(|| operator.put_result(&self.name, &result))
            .await
            .with_context(|| format!("cannot deliver the result of the run `{}`", self.name))?;
        report(Reporter::new(usage, assignment.run_id), &operator).await;
        finish(&workers).await;
        Ok(())
    }
}

async fn report(mut reporter: Reporter, operator: &Operator) {
    let mut backoff = Backoff::default();
    for _ in 0..USAGE_TRIES {
        match reporter.push(operator).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(%error, "the usage was not delivered"),
        }
        sleep(backoff.delay()).await;
    }
}

/// The workers have nothing left to do, and end with this process if they do not end now.
async fn finish(workers: &Workers) {
    let _ = tokio::time::timeout(Duration::from_millis(100), workers.shutdown()).await;
}

async fn result(
    operator: &Arc<Operator>,
    compiler: &Arc<Compiler>,
    assignment: &RunAssignment,
) -> anyhow::Result<RunResult> {
    let RunAssignment { run_id, workflow, plan, input, deadline_seconds } = assignment;
    let began = Instant::now();
    match load(operator, compiler, assignment).await? {
        Ok(program) => {
            let left = deadline_seconds.map(|seconds| time_left(seconds, began.elapsed()));
            let execution = execute(&program, input, left).await;
            Ok(execution.into_result(run_id.clone(), *plan))
        }
        Err(fault) => Ok(RunResult {
            run_id: run_id.clone(),
            plan: *plan,
            output: None,
            error: Some(RunError {
                reason: "PlanUnusable".into(),
                step: None,
                message: format!("the plan of `{workflow}` cannot be executed: {fault}"),
            }),
            quality: None,
            cost_usd: Usd::ZERO,
            latency_ms: 0.0,
            steps: Vec::new(),
        }),
    }
}

/// What is left for the execution of the `seconds` that were left before the plan was loaded.
fn time_left(seconds: u32, elapsed: Duration) -> Duration {
    let all = Duration::from_secs(seconds.into());
    all.saturating_sub(DELIVERY.min(all / 10)).saturating_sub(elapsed)
}

/// The program, or why there is none although everything needed to know that is here.
async fn load(
    operator: &Arc<Operator>,
    compiler: &Arc<Compiler>,
    assignment: &RunAssignment,
) -> anyhow::Result<Result<Arc<Program>, LoadError>> {
    let blobs = Blobs::new(Arc::clone(operator), None);
    let loader = Loader::new(compiler, &blobs);
    let loading = persist(|| async {
        match loader.load(&assignment.workflow, assignment.plan).await {
            Ok(program) => Ok(Ok(program)),
            Err(LoadError::Blob(error)) => Err(error),
            Err(fault) => Ok(Err(fault)),
        }
    });
    loading.await.context("cannot get the plan of the run")
}

async fn execute(program: &Program, input: &serde_json::Value, deadline: Option<Duration>) -> Execution {
    let deadline = program.deadline(deadline);
    match program.check_input(input) {
        Ok(()) => program.execute(input, deadline).await,
        Err(failure) => {
            Execution { outcome: Err(failure), quality: None, latency: Duration::ZERO, steps: Vec::new() }
        }
    }
}

/// Asks until the answer is final, or patience ends.
pub(super) async fn persist<T, F>(mut ask: impl FnMut() -> F) -> Result<T, OperatorError>
where
    F: Future<Output = Result<T, OperatorError>>,
{
    let end = Instant::now() + PATIENCE;
    let mut backoff = Backoff::default();
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let delay = backoff.delay();
        if !error.is_transient() || Instant::now() + delay > end {
            return Err(error);
        }
        tracing::warn!(%error, "trying again");
        sleep(delay).await;
    }
}

fn summary(name: &str, workflow: &str, result: &RunResult) -> String {
    let RunResult { latency_ms, steps, .. } = result;
    match &result.error {
        None => format!("run {name} of {workflow} succeeded: {} steps in {latency_ms:.1} ms", steps.len()),
        Some(RunError { reason, step, message }) => {
            let place = step.as_ref().map_or_else(String::new, |step| format!(" in step {step}"));
            format!("run {name} of {workflow} failed{place} after {latency_ms:.1} ms: {reason}: {message}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_of_the_time_is_kept_for_the_delivery() {
        let seconds = Duration::from_secs_f64;
        assert_eq!(time_left(60, Duration::ZERO), seconds(58.0));
        assert_eq!(time_left(1, Duration::ZERO), seconds(0.9));
        assert_eq!(time_left(10, seconds(2.5)), seconds(6.5));
        assert_eq!(time_left(1, seconds(5.0)), Duration::ZERO);
    }
}
