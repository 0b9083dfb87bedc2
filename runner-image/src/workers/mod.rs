//! Pools of jailed workers that run functions.
//!
//! A worker belongs to one tenant and one function; module globals persist in it between calls, and are seen by
//! nobody else. Functions must be pure: a call whose worker was killed for the sake of another is run again, and one
//! that was sent to a worker behind a call that takes long is run by another worker too.

mod attendant;
mod error;
mod frame;
mod job;
mod pools;
mod script;
mod shared;
mod tail;
mod worker;

use std::{
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::{
    digest::Digest,
    function::{Function, Language, Limits},
};
use serde_json::Value;
use tokio::time::sleep_until;

pub(crate) use attendant::{read, reap, receiver};
pub use error::CallError;
pub(crate) use tail::Tail;

use crate::{
    jail::{Jail, JailError, Spawner, peak_memory_kib},
    lock,
};
use job::Job;
use pools::Key;
use shared::Shared;
use worker::STUCK_AFTER;

/// The most bytes of JSON that a function can be given.
pub const LARGEST_INPUT: usize = 16 << 20;

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
    shared: Arc<Shared>,
}

impl Workers {
    /// Builds the jail and proves it by running a probe in it. Blocks for about 300 ms.
    ///
    /// # Errors
    /// No interpreter, or a layer of the jail that cannot be set: nothing may be run then.
    pub fn new(settings: Settings) -> Result<Arc<Self>, JailError> {
        let jail = Jail::new(settings.allow_missing_landlock)?;
        jail.prove()?;
        let spawner = Spawner::new(jail)?;
        Ok(Arc::new(Self { shared: Arc::new(Shared::new(settings, spawner)) }))
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
        if input.len() > LARGEST_INPUT {
            return Err(CallError::InputTooLarge { bytes: input.len(), limit: LARGEST_INPUT });
        }
        self.submit(tenant, callable, limits, Some(input), deadline).await
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
        self.submit(tenant, callable, limits, None, deadline).await.map(drop)
    }

    async fn submit(
        &self,
        tenant: &str,
        callable: &Arc<Callable>,
        limits: &Limits,
        input: Option<Bytes>,
        deadline: Instant,
    ) -> Result<Reply, CallError> {
        if callable.function.language == Language::Bash {
            return script::run(&self.shared, callable, limits, input, deadline).await;
        }
        let key = Key { tenant: tenant.into(), digest: callable.digest, limits: *limits };
        let ticket = self.shared.ticket();
        let (job, mut answer) = Job::new(ticket, input, deadline);
        self.shared.place(&key, callable, job);
        let answered = tokio::select! {
            biased;
            answered = &mut answer => answered,
            () = self.wait(&key, callable, deadline) => {
                if let Some(message) = lock(&self.shared.pools).withdraw(&key, ticket) {
                    return Err(CallError::Busy { message });
                }
                // A worker has it, whose attendant watches the deadline too.
                answer.await
            }
        };
        answered.unwrap_or_else(|_| Err(JailError::ShutDown.into()))
    }

    /// Waits for the deadline. On the way, ever more rarely, another worker is looked for: those that the function has
    /// may hang.
    async fn wait(&self, key: &Key, callable: &Arc<Callable>, deadline: Instant) {
        let mut pause = STUCK_AFTER;
        loop {
            let look = Instant::now() + pause;
            if look >= deadline {
                return sleep_until(deadline.into()).await;
            }
            sleep_until(look.into()).await;
            self.shared.reconsider(key, callable);
            pause *= 2;
        }
    }

    /// Ends the workers of a function that is no longer served, each after its calls.
    pub fn forget(&self, tenant: &str, callable: &Callable) {
        let theirs = |key: &Key| *key.tenant == *tenant && key.digest == callable.digest;
        self.shared.retire(theirs);
    }

    /// Where processes are started, for what is no call of a function.
    pub(crate) fn spawner(&self) -> &Spawner {
        &self.shared.spawner
    }

    /// The most memory that any worker of a function has held so far, in KiB.
    pub(crate) fn peak_memory_kib(&self, tenant: &str, callable: &Callable, limits: &Limits) -> Option<u64> {
        let key = Key { tenant: tenant.into(), digest: callable.digest, limits: *limits };
        let members = lock(&self.shared.pools).members(&key);
        members.iter().filter_map(|worker| peak_memory_kib(worker.pid)).max()
    }

    /// What the workers are doing now.
    #[must_use]
    pub fn stats(&self) -> Stats {
        lock(&self.shared.pools).stats()
    }

    /// Refuses further calls, waits for those that run, for 5 s at most, and ends all workers.
    pub async fn shutdown(&self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        let busy = |stats: Stats| stats.running + stats.queued > 0;
        self.wait_while(Duration::from_secs(5), busy).await;
        self.shared.retire(|_| true);
        self.wait_while(Duration::from_secs(2), |stats| stats.workers > 0).await;
    }

    async fn wait_while(&self, most: Duration, condition: impl Fn(Stats) -> bool) {
        let end = Instant::now() + most;
        while condition(self.stats()) && Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Relaxed);
        self.shared.retire(|_| true);
    }
}
