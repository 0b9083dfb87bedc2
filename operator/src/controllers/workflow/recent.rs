//! What was applied for a workflow a moment ago.
//!
//! While a rollout goes on, a workflow is looked at several times a second, and hundreds may roll out at once. Nothing
//! but the executors' answers can have changed then, so only they are asked. A change made by others, such as a
//! deleted Service, is healed at the next full pass, seconds later.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use dise_core::digest::Digest;

use super::decide::Planned;

/// How long what was applied is taken to be still there.
pub(super) const FRESH: Duration = Duration::from_secs(10);
const FIRST_ASK: Duration = Duration::from_millis(200);
const LAST_ASK: Duration = Duration::from_secs(5);

/// What decides a workflow's plan and the objects around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Basis {
    pub(super) generation: Option<i64>,
    /// The code of the tools that it uses.
    pub(super) tools: Digest,
    /// The CA certificates that its executor must trust.
    pub(super) bundle: Digest,
}

struct Entry {
    basis: Basis,
    at: Instant,
    asked: u32,
    planned: Planned,
}

/// What was applied a moment ago, by the unique ids of workflows.
#[derive(Default)]
pub struct Recent {
    entries: Mutex<HashMap<String, Entry>>,
    switched: Mutex<HashMap<String, Instant>>,
}

impl Recent {
    /// What was applied on this basis a moment ago.
    pub(super) fn get(&self, uid: &str, basis: &Basis) -> Option<Planned> {
        let entries = self.lock();
        let entry = entries.get(uid)?;
        (entry.basis == *basis && entry.at.elapsed() < FRESH).then(|| entry.planned.clone())
    }

    /// Remembers what was just applied, and forgets what is no longer fresh.
    pub(super) fn put(&self, uid: &str, basis: Basis, planned: Planned) {
        let mut entries = self.lock();
        entries.retain(|_, entry| entry.at.elapsed() < FRESH);
        entries.insert(uid.to_owned(), Entry { basis, at: Instant::now(), asked: 0, planned });
    }

    /// How long to wait before the executors are asked again: longer each time.
    pub(super) fn ask_again(&self, uid: &str) -> Duration {
        let mut entries = self.lock();
        let Some(entry) = entries.get_mut(uid) else { return FIRST_ASK };
        entry.asked = entry.asked.saturating_add(1);
        FIRST_ASK.saturating_mul(2_u32.saturating_pow(entry.asked / 4)).min(LAST_ASK)
    }

    /// Whether the Service of a workflow has pointed at its new executor for so long, since this was first asked, that
    /// no node sends requests to the former one any more.
    pub(super) fn is_drained(&self, uid: &str) -> bool {
        let mut switched = self.switched.lock().unwrap_or_else(PoisonError::into_inner);
        let drained = switched.entry(uid.to_owned()).or_insert_with(Instant::now).elapsed() >= FRESH;
        if drained {
            switched.remove(uid);
        }
        drained
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
