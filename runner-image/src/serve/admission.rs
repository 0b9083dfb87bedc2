//! How many requests may be in the house.
//!
//! A bounded number is executed, a bounded number waits, and the rest is turned away before its body is read. No
//! workflow gets more than three quarters of either, so that one that hangs does not keep the others waiting.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout_at,
};

/// The gate in front of the engine.
#[derive(Debug)]
pub struct Admission {
    slots: Semaphore,
    inside: AtomicUsize,
    running: usize,
    capacity: usize,
}

/// The requests for one workflow that are in the house.
#[derive(Debug, Default)]
pub struct Load {
    inside: AtomicUsize,
    slots: OnceLock<Semaphore>,
}

/// A request that may stay until this is dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    admission: &'a Admission,
    load: Arc<Load>,
}

/// A request that may be executed until this is dropped.
#[derive(Debug)]
pub struct Turn<'a> {
    _of_workflow: SemaphorePermit<'a>,
    _of_all: SemaphorePermit<'a>,
}

impl Admission {
    /// A gate that lets `running` requests be executed and `waiting` ones wait.
    #[must_use]
    pub fn new(running: usize, waiting: usize) -> Self {
        let running = running.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            slots: Semaphore::new(running),
            inside: AtomicUsize::new(0),
            running,
            capacity: running.saturating_add(waiting),
        }
    }

    /// Lets a request in, if there is room for it and its workflow has not taken three quarters already.
    #[must_use]
    pub fn admit(&self, load: &Arc<Load>) -> Option<Admitted<'_>> {
        let own = load.inside.fetch_add(1, Relaxed);
        let all = self.inside.fetch_add(1, Relaxed);
        // Made first, so that a refusal gives back what was just taken.
        let admitted = Admitted { admission: self, load: Arc::clone(load) };
        (own < share(self.capacity) && all < self.capacity).then_some(admitted)
    }
}

impl Admitted<'_> {
    /// Waits for a turn, until the deadline.
    pub async fn turn(&self, deadline: Instant) -> Option<Turn<'_>> {
        let own = self.load.slots.get_or_init(|| Semaphore::new(share(self.admission.running)));
        // In this order, so that those who wait for their own workflow hold nothing that others need.
        let of_workflow = acquire(own, deadline).await?;
        let of_all = acquire(&self.admission.slots, deadline).await?;
        Some(Turn { _of_workflow: of_workflow, _of_all: of_all })
    }
}

/// What one workflow may have of what there is.
fn share(all: usize) -> usize {
    all - all / 4
}

async fn acquire(slots: &Semaphore, deadline: Instant) -> Option<SemaphorePermit<'_>> {
    if let Ok(slot) = slots.try_acquire() {
        return Some(slot);
    }
    timeout_at(deadline.into(), slots.acquire()).await.ok()?.ok()
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.load.inside.fetch_sub(1, Relaxed);
        self.admission.inside.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn turns_away_what_exceeds_running_and_waiting() {
        let admission = Admission::new(1, 1);
        let load = Arc::default();
        let first = admission.admit(&load);
        let second = admission.admit(&load);
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(&load).is_none());
        drop(first);
        assert!(admission.admit(&load).is_some());
    }

    #[test]
    fn one_workflow_cannot_keep_the_others_out() {
        let admission = Admission::new(4, 4);
        let (hog, other) = (Arc::default(), Arc::default());
        let inside: Vec<_> = (0..8).map_while(|_| admission.admit(&hog)).collect();
        assert_eq!(inside.len(), 6);
        assert!(admission.admit(&other).is_some());
    }

    #[tokio::test]
    async fn one_workflow_cannot_keep_the_others_waiting() {
        let admission = Admission::new(4, 12);
        let (hog, other) = (Arc::default(), Arc::default());
        let inside: Vec<_> = (0..12).map_while(|_| admission.admit(&hog)).collect();
        let soon = Instant::now() + Duration::from_millis(10);
        let turns = futures::future::join_all(inside.iter().map(|admitted| admitted.turn(soon))).await;
        assert_eq!(turns.iter().flatten().count(), 3);
        assert!(admission.admit(&other).unwrap().turn(Instant::now()).await.is_some());
    }

    #[tokio::test]
    async fn nobody_waits_beyond_the_deadline() {
        let admission = Admission::new(1, 1);
        let load = Arc::default();
        let (first, second) = (admission.admit(&load).unwrap(), admission.admit(&load).unwrap());
        let turn = first.turn(Instant::now()).await;
        assert!(second.turn(Instant::now() + Duration::from_millis(10)).await.is_none());
        drop(turn);
        assert!(second.turn(Instant::now()).await.is_some());
    }
}
