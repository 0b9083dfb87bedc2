//! When a failed object is tried again: later each time, with jitter, per object.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use kube::{Resource, runtime::reflector::ObjectRef};

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(1);

/// Counts the failures in a row of each object.
#[derive(Default)]
pub struct Backoff {
    failures: Mutex<HashMap<String, u32>>,
    jitter: RandomState,
}

impl Backoff {
    /// Counts a failure; returns how long to wait.
    pub fn failed<K: Resource<DynamicType = ()>>(&self, object: &K) -> Duration {
        let key = key(object);
        let count = {
            let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
            let count = failures.entry(key.clone()).or_default();
            *count = count.saturating_add(1);
            *count
        };
        self.delay(&key, count)
    }

    /// Forgets the failures of an object that was reconciled or is gone.
    pub fn succeeded<K: Resource<DynamicType = ()>>(&self, object: &K) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&key(object));
    }

    /// Doubles from half a second to a minute; up to a fifth is taken off, so that objects that failed together
    /// do not come back together.
    fn delay(&self, key: &str, count: u32) -> Duration {
        let full = FIRST.saturating_mul(2_u32.saturating_pow(count.saturating_sub(1).min(16))).min(LONGEST);
        let jitter = u32::try_from(self.jitter.hash_one((key, count)) % 1000).unwrap_or_default();
        full.saturating_sub(full / 5 * jitter / 1000)
    }
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> String {
    format!("{}/{}", K::kind(&()), ObjectRef::from_obj(object))
}

#[cfg(test)]
mod tests {
    use dise_crds::{Workflow, WorkflowSpec};

    use super::*;

    #[test]
    fn waits_longer_each_time_and_never_longer_than_a_minute() {
        let backoff = Backoff::default();
        let workflow = Workflow::new("w", WorkflowSpec::default());
        let delays: Vec<_> = (0..20).map(|_| backoff.failed(&workflow)).collect();
        assert!(delays[0] <= FIRST && delays[0] >= FIRST * 4 / 5);
        assert!(delays[3] >= FIRST * 6);
        assert!(delays.iter().all(|delay| *delay <= LONGEST));
    }

    #[test]
    fn starts_over_after_a_success_and_keeps_objects_apart() {
        let backoff = Backoff::default();
        let (one, other) =
            (Workflow::new("one", WorkflowSpec::default()), Workflow::new("other", WorkflowSpec::default()));
        for _ in 0..5 {
            backoff.failed(&one);
        }
        assert!(backoff.failed(&other) <= FIRST);
        backoff.succeeded(&one);
        assert!(backoff.failed(&one) <= FIRST);
    }
}
