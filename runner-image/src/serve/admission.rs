//! How many requests may be in the house.
//!
//! A bounded number is executed, a bounded number waits, and the rest is turned away before its body is read.

use std::{
    sync::{
        Arc,
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
    capacity: usize,
    per_workflow: usize,
}

/// A request that may stay until this is dropped.
#[derive(Debug)]
pub struct Admitted<'a> {
    admission: &'a Admission,
    load: Arc<AtomicUsize>,
}

impl Admission {
    /// A gate that lets `running` requests be executed and `waiting` ones wait.
    #[must_use]
    pub fn new(running: usize, waiting: usize) -> Self {
        let (running, capacity) = (running.max(1), running.max(1).saturating_add(waiting));
        Self {
            slots: Semaphore::new(running.min(Semaphore::MAX_PERMITS)),
            inside: AtomicUsize::new(0),
            capacity,
            // A workflow that hangs must not keep the others out.
            per_workflow: capacity - capacity / 4,
        }
    }

    /// Lets a request in, if there is room for it and its workflow has not taken three quarters already.
    #[must_use]
    pub fn admit(&self, load: &Arc<AtomicUsize>) -> Option<Admitted<'_>> {
        let own = load.fetch_add(1, Relaxed);
        let all = self.inside.fetch_add(1, Relaxed);
        // Made first, so that a refusal gives back what was just taken.
        let admitted = Admitted { admission: self, load: Arc::clone(load) };
        (own < self.per_workflow && all < self.capacity).then_some(admitted)
    }
}

impl Admitted<'_> {
    /// Waits for a turn, until the deadline.
    pub async fn turn(&self, deadline: Instant) -> Option<SemaphorePermit<'_>> {
        let slots = &self.admission.slots;
        if let Ok(slot) = slots.try_acquire() {
            return Some(slot);
        }
        timeout_at(deadline.into(), slots.acquire()).await.ok()?.ok()
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Relaxed);
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
