//! Where candidates are run.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use bytes::Bytes;
use dise_core::{
    function::{Function, Language, Limits},
    verification::{VerificationReport, VerificationRequest},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    verify::{VerifyError, verify},
    workers::{CallError, Callable, Workers},
};

/// How long a call may wait for a worker on top of its own time.
const WAIT: Duration = Duration::from_secs(30);

/// Runs candidates: [`Workers`], or what stands in for them.
#[async_trait]
pub trait Bench: Send + Sync {
    /// Proves a function, as an author's own is proven.
    ///
    /// # Errors
    /// See [`VerifyError`]; it says nothing of the function.
    async fn prove(&self, request: &VerificationRequest) -> Result<VerificationReport, VerifyError>;

    /// What a function gives for each input; nothing where it fails.
    ///
    /// # Errors
    /// Nothing can be run.
    async fn run(
        &self,
        function: &Function,
        limits: &Limits,
        inputs: &[Value],
    ) -> Result<Vec<Option<Value>>, VerifyError>;
}

#[async_trait]
impl Bench for Workers {
    async fn prove(&self, request: &VerificationRequest) -> Result<VerificationReport, VerifyError> {
        verify(self, request, env!("CARGO_PKG_VERSION")).await
    }

    async fn run(
        &self,
        function: &Function,
        limits: &Limits,
        inputs: &[Value],
    ) -> Result<Vec<Option<Value>>, VerifyError> {
        let guest = Guest::new(self, function);
        let mut answers = Vec::with_capacity(inputs.len());
        for input in inputs {
            match guest.call(limits, input).await {
                Ok(answer) => answers.push(Some(answer)),
                Err(error) if error.is_transient() => return Err(error.into()),
                // Code that hangs once is not waited for again.
                Err(CallError::Deadline { .. }) => break,
                Err(_) => answers.push(None),
            }
        }
        answers.resize(inputs.len(), None);
        Ok(answers)
    }
}

/// A function in workers of its own, for as long as this lives.
struct Guest<'w> {
    workers: &'w Workers,
    callable: Arc<Callable>,
    tenant: String,
}

impl<'w> Guest<'w> {
    fn new(workers: &'w Workers, function: &Function) -> Self {
        let tenant = format!("search {}", Uuid::new_v4());
        Self { workers, callable: Callable::new(function.clone()), tenant }
    }

    async fn call(&self, limits: &Limits, input: &Value) -> Result<Value, CallError> {
        let time = Duration::from_secs(limits.timeout_seconds.into());
        // A worker that has to be started first must not be charged to the function.
        if self.callable.function().language == Language::Python {
            let ready = Instant::now() + time + WAIT;
            self.workers.load(&self.tenant, &self.callable, limits, ready).await?;
        }
        let input = Bytes::from(input.to_string());
        self.workers.call(&self.tenant, &self.callable, limits, input, Instant::now() + time).await?.value()
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.workers.forget(&self.tenant, &self.callable);
    }
}
