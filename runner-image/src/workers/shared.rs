//! What the handle of the workers and their attendants share.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Semaphore;

use super::{
    CallError, Callable, Reply, Settings,
    attendant::Attendant,
    frame,
    job::Job,
    pools::{Effect, Key, Loss, Pools},
    worker::Worker,
};
use crate::{
    jail::{Harness, JailError, Spawner},
    lock,
};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: Settings,
    pub(super) spawner: Spawner,
    /// Scripts that run at the same time.
    pub(super) scripts: Semaphore,
    pub(super) pools: Mutex<Pools<Arc<Worker>>>,
    pub(super) closed: AtomicBool,
    sweeping: AtomicBool,
    tickets: AtomicU64,
}

impl Shared {
    pub(super) fn new(settings: Settings, spawner: Spawner) -> Self {
        Self {
            pools: Mutex::new(Pools::new(&settings)),
            scripts: Semaphore::new(settings.max_workers_per_function.max(1)),
            settings,
            spawner,
            closed: AtomicBool::new(false),
            sweeping: AtomicBool::new(false),
            tickets: AtomicU64::new(0),
        }
    }

    /// Names a call.
    pub(super) fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// Brings a call on its way.
    pub(super) fn place(self: &Arc<Self>, key: &Key, callable: &Arc<Callable>, mut job: Job) {
        if self.closed.load(Ordering::Relaxed) {
            return job.answer(Err(JailError::ShutDown.into()));
        }
        let effects = lock(&self.pools).submit(key, callable, job);
        self.perform(key, callable, effects);
    }

    /// Brings calls on their way that another worker was to run, the oldest first.
    pub(super) fn place_again(self: &Arc<Self>, key: &Key, callable: &Arc<Callable>, jobs: Vec<Job>) {
        if !jobs.is_empty() {
            let effects = lock(&self.pools).submit_again(key, callable, jobs);
            self.perform(key, callable, effects);
        }
    }

    /// A call has been under way for long: its pool may need another worker by now.
    pub(super) fn reconsider(self: &Arc<Self>, key: &Key, callable: &Arc<Callable>) {
        let effects = lock(&self.pools).assign(key);
        self.perform(key, callable, effects);
    }

    /// A worker can be called.
    pub(super) fn is_ready(self: &Arc<Self>, key: &Key, callable: &Arc<Callable>, worker: &Arc<Worker>) {
        let effects = lock(&self.pools).ready(key, worker.number, Arc::clone(worker));
        self.perform(key, callable, effects);
        if self.closed.load(Ordering::Relaxed) {
            // It was still loading when the others were told to end.
            self.retire(|_| true);
        }
    }

    /// A worker has answered calls.
    pub(super) fn has_finished(
        self: &Arc<Self>,
        key: &Key,
        callable: &Arc<Callable>,
        number: u64,
        count: usize,
        service: Duration,
    ) {
        let effects = lock(&self.pools).finished(key, number, count, service);
        self.perform(key, callable, effects);
    }

    /// A worker has ended.
    pub(super) fn is_gone(
        self: &Arc<Self>,
        key: &Key,
        callable: &Arc<Callable>,
        loss: Loss,
        error: Option<&CallError>,
    ) {
        let effects = lock(&self.pools).gone(key, loss, error);
        self.perform(key, callable, effects);
    }

    /// Does what was decided. A call that its worker no longer takes is placed anew.
    pub(super) fn perform(
        self: &Arc<Self>,
        key: &Key,
        callable: &Arc<Callable>,
        effects: Vec<Effect<Arc<Worker>>>,
    ) {
        for effect in effects {
            match effect {
                Effect::Send(worker, job) => {
                    if let Err(job) = worker.send(job) {
                        lock(&self.pools).lost(key, worker.number, false);
                        self.place(key, callable, job);
                    }
                }
                Effect::Ready(mut job) => job.answer(Ok(Reply {
                    output: Bytes::from_static(b"null"),
                    elapsed: Duration::ZERO,
                    printed: String::new(),
                })),
                Effect::Fail(mut job, error) => job.answer(Err(error)),
                Effect::Start(key, callable, number) => self.start(key, callable, number),
                Effect::Retire(worker) => worker.retire(),
            }
        }
    }

    /// Retires workers, each after its calls.
    pub(super) fn retire(&self, which: impl Fn(&Key) -> bool) {
        for effect in lock(&self.pools).retire(which) {
            if let Effect::Retire(worker) = effect {
                worker.retire();
            }
        }
    }

    fn start(self: &Arc<Self>, key: Key, callable: Arc<Callable>, number: u64) {
        self.sweep();
        let shared = Arc::clone(self);
        tokio::spawn(async move {
            let limits = key.limits;
            let process = shared.spawner.run(move |jail| jail.start_python(Harness::Worker, &limits)).await;
            let attendant = process.and_then(|process| {
                Attendant::new(number, process, Arc::clone(&shared), key.clone(), Arc::clone(&callable))
            });
            match attendant {
                Ok(attendant) => {
                    let deadline = Instant::now() + Duration::from_secs(limits.timeout_seconds.into());
                    attendant.run(frame::load(&callable.function().source, &limits), deadline).await;
                }
                Err(error) => {
                    tracing::error!(%error, "no worker can be started");
                    shared.is_gone(&key, &callable, Loss::Loading, Some(&error.into()));
                }
            }
        });
    }

    /// Ends idle workers from time to time, as long as there are workers.
    fn sweep(self: &Arc<Self>) {
        if self.sweeping.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::clone(self);
        let idle_after = self.settings.idle_after;
        let pause = (idle_after / 4).clamp(Duration::from_millis(20), Duration::from_secs(15));
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(pause).await;
                let effects = lock(&shared.pools).sweep(Instant::now(), idle_after);
                for effect in effects {
                    if let Effect::Retire(worker) = effect {
                        worker.retire();
                    }
                }
                let pools = lock(&shared.pools);
                if pools.stats().workers == 0 {
                    // Under the lock: a worker that is started next finds nobody sweeping.
                    shared.sweeping.store(false, Ordering::Release);
                    return;
                }
            }
        });
    }
}
