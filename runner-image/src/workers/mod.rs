//! Pools of jailed workers that run functions.
//!
//! A worker belongs to one tenant and one function; module globals persist in it between calls, and are seen by
//! nobody else. Functions must be pure: a call whose worker was killed for the sake of another is run again.

mod error;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::{
    digest::Digest,
    function::{Function, Limits},
};
use serde_json::Value;

pub use error::CallError;

use crate::jail::JailError;

/// How many workers there may be and how they are used.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Workers for one tenant and function.
    pub max_workers_per_function: usize,
    /// Workers altogether; idle ones give way, the longest idle first.
    pub max_workers: usize,
    /// A worker without a call for this long is ended.
    pub idle_after: Duration,
    /// A worker is replaced after this many calls, so that what leaks in it stays bounded.
    pub calls_per_worker: u32,
    /// Calls sent to a worker ahead of its replies, 1 to 8; applies to fast functions alone.
    pub pipeline: usize,
    /// Run without Landlock on a kernel that has none.
    pub allow_missing_landlock: bool,
    /// Where scripts get their private scratch folders; must be writable.
    pub scratch: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            max_workers_per_function: cores,
            max_workers: 16 * cores,
            idle_after: Duration::from_mins(1),
            calls_per_worker: 100_000,
            pipeline: 8,
            allow_missing_landlock: false,
            scratch: std::env::temp_dir(),
        }
    }
}

/// A function together with its digest, computed once. Keep one per plan and share it.
#[derive(Debug)]
pub struct Callable {
    function: Function,
    digest: Digest,
}

impl Callable {
    /// Takes a function up for calling.
    #[must_use]
    pub fn new(function: Function) -> Arc<Self> {
        Arc::new(Self { digest: function.digest(), function })
    }

    /// The function.
    #[must_use]
    pub fn function(&self) -> &Function {
        &self.function
    }

    /// Its address.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

/// What a call came to.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The result: JSON text within the limit.
    pub output: Bytes,
    /// From the frame's sending to its reply, without the wait for a worker.
    pub elapsed: Duration,
    /// The end of what the call printed.
    pub printed: String,
}

impl Reply {
    /// The result, parsed.
    ///
    /// # Errors
    /// [`CallError::NotJson`] for JSON that cannot be held: a number beyond 1e308, or more than 127 levels.
    pub fn value(&self) -> Result<Value, CallError> {
        serde_json::from_slice(&self.output)
            .map_err(|error| CallError::NotJson { location: "output".to_owned(), message: error.to_string() })
    }
}

/// What the workers are doing now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tenants and functions that have a worker or a waiting call.
    pub pools: usize,
    /// Workers alive, loading ones included.
    pub workers: usize,
    /// Of them, without a call.
    pub idle: usize,
    /// Calls sent to a worker.
    pub running: usize,
    /// Calls waiting for a worker.
    pub queued: usize,
    /// Workers started since the beginning.
    pub started: u64,
    /// Of them, killed for a breach since the beginning.
    pub killed: u64,
}

/// The pools. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Workers {
    settings: Settings,
}

impl Workers {
    /// Builds the jail and proves it by running a probe in it. Blocks for about 100 ms.
    ///
    /// # Errors
    /// No interpreter, or a layer of the jail that cannot be set: nothing may be run then.
    pub fn new(settings: Settings) -> Result<Arc<Self>, JailError> {
        Ok(Arc::new(Self { settings }))
    }

    /// Calls a function with `input`, which is JSON text. The answer comes at the `deadline` at the latest, give or
    /// take the time that it takes to kill a worker. Dropping the future is safe; the call goes on to its end.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn call(
        &self,
        tenant: &str,
        callable: &Arc<Callable>,
        limits: &Limits,
        input: Bytes,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        let _ = (tenant, callable, limits, input, deadline, &self.settings);
        Err(JailError::ShutDown.into())
    }

    /// Makes sure that a worker for the function is ready, so that its first call is fast; also the proof that the
    /// source loads. A script is only parsed.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn load(
        &self,
        tenant: &str,
        callable: &Arc<Callable>,
        limits: &Limits,
        deadline: Instant,
    ) -> Result<(), CallError> {
        let _ = (tenant, callable, limits, deadline);
        Err(JailError::ShutDown.into())
    }

    /// Ends the workers of a function that is no longer served, each after its calls.
    pub fn forget(&self, tenant: &str, callable: &Callable) {
        let _ = (tenant, callable);
    }

    /// What the workers are doing now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// Refuses further calls, waits for those that run, for 5 s at most, and ends all workers.
    pub async fn shutdown(&self) {}
}
