//! Which call goes to which worker, and when there are more or fewer of them. No I/O: what is to be done comes back
//! as [`Effect`]s.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use dise_core::{digest::Digest, function::Limits};

use super::{
    CallError, Callable, Settings, Stats,
    job::{self, Job},
};

/// Functions slower than this are not pipelined: a call would wait behind another while a worker becomes free.
const PIPELINED_BELOW: Duration = Duration::from_micros(500);
/// A worker is not sent more calls ahead when its running call takes longer than this.
const SLOW_AFTER: Duration = Duration::from_millis(5);
/// Calls that may wait for one worker that is being started before another is.
const BURST: usize = 4;

/// What workers are kept apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) tenant: Arc<str>,
    pub(super) digest: Digest,
    /// A worker's limits are set when it starts.
    pub(super) limits: Limits,
}

/// Something to be done after a decision.
#[derive(Debug)]
pub(super) enum Effect<W> {
    /// Send a call to a worker.
    Send(W, Job),
    /// The call needs nothing but a ready worker.
    Ready(Job),
    /// The call has failed.
    Fail(Job, CallError),
    /// Start a worker with this number.
    Start(Key, Arc<Callable>, u64),
    /// Let a worker end after its calls.
    Retire(W),
}

/// What a worker was that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It had not loaded its source.
    Loading,
    /// It had.
    Ready,
}

/// All pools. `W` is a handle of a worker.
#[derive(Debug)]
pub(super) struct Pools<W> {
    by_key: HashMap<Key, Pool<W>>,
    /// Workers that exist, loading and ending ones included.
    workers: usize,
    /// Pools with no worker that could take a call soon, which wait for one of another pool to go.
    starved: VecDeque<Key>,
    per_pool: usize,
    most: usize,
    pipeline: usize,
    calls_per_worker: u32,
    started: u64,
    killed: u64,
}

#[derive(Debug)]
struct Pool<W> {
    callable: Arc<Callable>,
    members: Vec<Member<W>>,
    loading: usize,
    waiting: VecDeque<Job>,
    /// How long a call takes, smoothed.
    service: Option<Duration>,
}

#[derive(Debug)]
struct Member<W> {
    number: u64,
    worker: W,
    running: usize,
    calls: u32,
    /// When it was last given a call while it had none, or has answered one: it is idle or runs one since then.
    since: Instant,
    retiring: bool,
}

impl<W> Member<W> {
    fn has_room(&self, depth: usize, now: Instant) -> bool {
        !self.retiring && !self.is_slow(now) && self.running < depth
    }

    fn is_slow(&self, now: Instant) -> bool {
        self.running > 0 && now.saturating_duration_since(self.since) > SLOW_AFTER
    }
}

impl<W: Clone> Pools<W> {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            by_key: HashMap::new(),
            workers: 0,
            starved: VecDeque::new(),
            per_pool: settings.max_workers_per_function.max(1),
            most: settings.max_workers.max(1),
            pipeline: settings.pipeline.clamp(1, 8),
            calls_per_worker: settings.calls_per_worker.max(1),
            started: 0,
            killed: 0,
        }
    }

    /// Gives a call to the worker with the most room, or lets it wait.
    pub(super) fn submit(&mut self, key: &Key, callable: &Arc<Callable>, job: Job) -> Vec<Effect<W>> {
        self.enqueue(key, callable, |waiting| waiting.push_back(job))
    }

    /// Gives calls, the oldest first, to other workers than the one that was to run them.
    pub(super) fn submit_again(
        &mut self,
        key: &Key,
        callable: &Arc<Callable>,
        jobs: Vec<Job>,
    ) -> Vec<Effect<W>> {
        let now = Instant::now();
        // Whoever wanted to withdraw these did not find them: they were on their way.
        let (late, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.deadline <= now);
        let mut effects = self
            .enqueue(key, callable, |waiting| jobs.into_iter().rev().for_each(|job| waiting.push_front(job)));
        effects.extend(late.into_iter().map(|job| Effect::Fail(job, job::waited_behind_another())));
        self.remove_if_empty(key);
        effects
    }

    /// Takes a call back that no worker has yet.
    pub(super) fn take_back(&mut self, key: &Key, ticket: u64) -> Option<Job> {
        let waiting = &mut self.by_key.get_mut(key)?.waiting;
        waiting.remove(waiting.iter().position(|job| job.ticket == ticket)?)
    }

    /// Takes a call back that no worker has yet; says what the workers are doing.
    pub(super) fn withdraw(&mut self, key: &Key, ticket: u64) -> Option<String> {
        self.take_back(key, ticket)?;
        let pool = self.by_key.get(key)?;
        let running: usize = pool.members.iter().map(|member| member.running).sum();
        let report = format!(
            "of this function's workers {} run {running} calls and {} are still loading it, {} calls wait; \
             altogether there are {} of {} workers",
            pool.members.len(),
            pool.loading,
            pool.waiting.len(),
            self.workers,
            self.most
        );
        self.remove_if_empty(key);
        Some(report)
    }

    /// A worker has loaded its source.
    pub(super) fn ready(&mut self, key: &Key, number: u64, worker: W) -> Vec<Effect<W>> {
        let Some(pool) = self.by_key.get_mut(key) else { return vec![Effect::Retire(worker)] };
        pool.loading = pool.loading.saturating_sub(1);
        pool.members.push(Member {
            number,
            worker,
            running: 0,
            calls: 0,
            since: Instant::now(),
            retiring: false,
        });
        self.assign(key)
    }

    /// A worker has answered `count` calls.
    pub(super) fn finished(
        &mut self,
        key: &Key,
        number: u64,
        count: usize,
        service: Duration,
    ) -> Vec<Effect<W>> {
        // A worker of this pool has just answered.
        self.starved.retain(|starved| starved != key);
        let others_starve = !self.starved.is_empty();
        let has_none = |key| self.by_key.get(key).is_some_and(|pool: &Pool<W>| !pool.has_workers());
        let others_have_none = self.starved.iter().any(has_none);
        let Some(pool) = self.by_key.get_mut(key) else { return Vec::new() };
        pool.learn(service);
        let Some(member) = pool.members.iter_mut().find(|member| member.number == number) else {
            return Vec::new();
        };
        member.running = member.running.saturating_sub(count);
        member.since = Instant::now();
        let is_idle = member.running == 0 && pool.waiting.is_empty();
        // Whoever has no worker at all comes before whoever has one; whose workers hang, before whose are idle.
        member.retiring |= others_have_none || (others_starve && is_idle);
        let mut effects = pool.retire_idle(|member| member.retiring);
        effects.extend(pool.assign(self.pipeline, self.calls_per_worker));
        effects
    }

    /// A worker takes no more calls: it is about to end.
    pub(super) fn lost(&mut self, key: &Key, number: u64, was_killed: bool) {
        self.killed += u64::from(was_killed);
        if let Some(pool) = self.by_key.get_mut(key) {
            pool.members.retain(|member| member.number != number);
        }
    }

    /// A worker has ended. An `error` that kept it from loading befalls all calls that wait for its like.
    pub(super) fn gone(&mut self, key: &Key, loss: Loss, error: Option<&CallError>) -> Vec<Effect<W>> {
        self.workers = self.workers.saturating_sub(1);
        let mut effects = Vec::new();
        if let Some(pool) = self.by_key.get_mut(key) {
            if loss == Loss::Loading {
                pool.loading = pool.loading.saturating_sub(1);
            }
            if let Some(error) = error
                && pool.members.is_empty()
            {
                effects.extend(pool.waiting.drain(..).map(|job| Effect::Fail(job, error.clone())));
            }
        }
        while let Some(starved) = self.starved.pop_front() {
            if self.by_key.get(&starved).is_some_and(|pool| !pool.waiting.is_empty()) {
                self.grow(&starved, &mut effects);
                break;
            }
            self.remove_if_empty(&starved);
        }
        if self.by_key.get(key).is_some_and(|pool| pool.wants_more(self.per_pool, self.pipeline)) {
            self.grow(key, &mut effects);
        }
        self.remove_if_empty(key);
        effects
    }

    /// Retires the workers that were idle for `idle_after`.
    pub(super) fn sweep(&mut self, now: Instant, idle_after: Duration) -> Vec<Effect<W>> {
        let idle = |member: &Member<W>| now.saturating_duration_since(member.since) >= idle_after;
        self.by_key.values_mut().flat_map(|pool| pool.retire_idle(idle)).collect()
    }

    /// Retires the workers of a function, or all workers, each after its calls.
    pub(super) fn retire(&mut self, which: impl Fn(&Key) -> bool) -> Vec<Effect<W>> {
        let mut effects = Vec::new();
        for (_, pool) in self.by_key.iter_mut().filter(|(key, _)| which(key)) {
            pool.members.iter_mut().for_each(|member| member.retiring = true);
            effects.extend(pool.retire_idle(|_| true));
        }
        effects
    }

    pub(super) fn stats(&self) -> Stats {
        let members = || self.by_key.values().flat_map(|pool| &pool.members);
        Stats {
            pools: self.by_key.len(),
            workers: self.workers,
            idle: members().filter(|member| member.running == 0).count(),
            running: members().map(|member| member.running).sum(),
            queued: self.by_key.values().map(|pool| pool.waiting.len()).sum(),
            started: self.started,
            killed: self.killed,
        }
    }

    /// The workers of a pool.
    pub(super) fn members(&self, key: &Key) -> Vec<W> {
        self.by_key
            .get(key)
            .into_iter()
            .flat_map(|pool| &pool.members)
            .map(|member| member.worker.clone())
            .collect()
    }

    /// Lets calls wait, and gives to workers what they have room for.
    fn enqueue(
        &mut self,
        key: &Key,
        callable: &Arc<Callable>,
        push: impl FnOnce(&mut VecDeque<Job>),
    ) -> Vec<Effect<W>> {
        if !self.by_key.contains_key(key) {
            self.by_key.insert(key.clone(), Pool::new(Arc::clone(callable)));
        }
        if let Some(pool) = self.by_key.get_mut(key) {
            push(&mut pool.waiting);
        }
        self.assign(key)
    }

    /// Gives waiting calls to workers, and starts one when they are too few.
    pub(super) fn assign(&mut self, key: &Key) -> Vec<Effect<W>> {
        let Some(pool) = self.by_key.get_mut(key) else { return Vec::new() };
        let mut effects = pool.assign(self.pipeline, self.calls_per_worker);
        if pool.wants_more(self.per_pool, self.pipeline) {
            self.grow(key, &mut effects);
        }
        effects
    }

    /// Starts a worker, or lets one of another pool go first.
    fn grow(&mut self, key: &Key, effects: &mut Vec<Effect<W>>) {
        if self.workers >= self.most {
            let is_served = |pool: &Pool<W>| pool.has_workers() && !pool.hangs();
            if self.by_key.get(key).is_none_or(is_served) {
                return;
            }
            if !self.starved.contains(key) {
                self.starved.push_back(key.clone());
                effects.extend(self.evict(key));
            }
            return;
        }
        if let Some(pool) = self.by_key.get_mut(key) {
            pool.loading += 1;
            self.workers += 1;
            self.started += 1;
            effects.push(Effect::Start(key.clone(), Arc::clone(&pool.callable), self.started));
        }
    }

    /// Retires the worker that is idle for the longest.
    fn evict(&mut self, for_key: &Key) -> Option<Effect<W>> {
        let idle = |pool: &Pool<W>| {
            let idle = pool.members.iter().filter(|member| member.running == 0);
            idle.map(|member| (member.since, member.number)).min()
        };
        let others = self.by_key.iter().filter(|(key, _)| *key != for_key);
        let ((_, number), key) = others
            .filter_map(|(key, pool)| Some((idle(pool)?, key.clone())))
            .min_by_key(|(idle, _)| *idle)?;
        self.by_key.get_mut(&key)?.retire_idle(|member| member.number == number).pop()
    }

    fn remove_if_empty(&mut self, key: &Key) {
        if self.by_key.get(key).is_some_and(|pool| !pool.has_workers() && pool.waiting.is_empty()) {
            self.by_key.remove(key);
        }
    }
}

impl<W: Clone> Pool<W> {
    fn new(callable: Arc<Callable>) -> Self {
        Self { callable, members: Vec::new(), loading: 0, waiting: VecDeque::new(), service: None }
    }

    fn has_workers(&self) -> bool {
        self.loading > 0 || !self.members.is_empty()
    }

    /// Whether all workers run calls that take long.
    fn hangs(&self) -> bool {
        let now = Instant::now();
        self.loading == 0 && self.members.iter().all(|member| member.is_slow(now))
    }

    /// Sends waiting calls to the members that have room, the emptiest first.
    fn assign(&mut self, pipeline: usize, calls_per_worker: u32) -> Vec<Effect<W>> {
        let (depth, now) = (self.depth(pipeline), Instant::now());
        let mut effects = Vec::new();
        while let Some(job) = self.waiting.pop_front() {
            if job.is_abandoned() {
                continue;
            }
            let free = self.members.iter_mut().filter(|member| member.has_room(depth, now));
            let Some(member) = free.min_by_key(|member| member.running) else {
                self.waiting.push_front(job);
                break;
            };
            if job.input.is_none() {
                effects.push(Effect::Ready(job));
                continue;
            }
            if member.running == 0 {
                member.since = now;
            }
            member.running += 1;
            member.calls += 1;
            member.retiring = member.calls >= calls_per_worker;
            effects.push(Effect::Send(member.worker.clone(), job));
        }
        effects
    }

    /// How many calls a worker may have at a time.
    fn depth(&self, pipeline: usize) -> usize {
        if self.service.is_some_and(|service| service < PIPELINED_BELOW) { pipeline } else { 1 }
    }

    fn wants_more(&self, per_pool: usize, pipeline: usize) -> bool {
        let takers = self.members.iter().filter(|member| !member.retiring);
        let (count, running) =
            takers.fold((0, 0), |(count, running), member| (count + 1, running + member.running));
        if self.members.len() + self.loading >= per_pool && (count > 0 || self.loading > 0) {
            return false;
        }
        if count == 0 {
            return self.waiting.len() > BURST * self.loading;
        }
        self.loading == 0 && (!self.waiting.is_empty() || running >= count * pipeline.div_ceil(2).max(2))
    }

    fn retire_idle(&mut self, which: impl Fn(&Member<W>) -> bool) -> Vec<Effect<W>> {
        let retired = self.members.extract_if(.., |member| member.running == 0 && which(member));
        retired.map(|member| Effect::Retire(member.worker)).collect()
    }

    /// Smooths over about eight calls.
    fn learn(&mut self, service: Duration) {
        self.service = Some(self.service.map_or(service, |known| (known * 7 + service) / 8));
    }
}

#[cfg(test)]
mod tests;
