//! Sharing of equal things for as long as somebody holds them.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    hash::Hash,
    sync::{Arc, Mutex, Weak},
};

use crate::lock;

/// Below this size dead entries are not worth a look.
const SMALLEST_SWEEP: usize = 64;

/// A map from keys to the living values made for them.
pub(crate) struct Interner<K, V> {
    known: Mutex<Known<K, V>>,
}

struct Known<K, V> {
    values: HashMap<K, Weak<V>>,
    /// The size at which dead entries are dropped next; doubling keeps that free of charge.
    sweep_at: usize,
}

impl<K, V> Default for Interner<K, V> {
    fn default() -> Self {
        Self { known: Mutex::new(Known { values: HashMap::new(), sweep_at: SMALLEST_SWEEP }) }
    }
}

impl<K, V> fmt::Debug for Interner<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interner").finish_non_exhaustive()
    }
}

impl<K: Eq + Hash, V> Interner<K, V> {
    /// The living value of `key`.
    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        lock(&self.known).values.get(key).and_then(Weak::upgrade)
    }

    /// The living value of `key`, else a new one.
    pub(crate) fn intern(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        match self.try_intern(key, || Ok::<_, Infallible>(Arc::new(make()))) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// The living value of `key`, else a new one if it can be made.
    ///
    /// It is made under the lock, so that a handle which dies in [`Interner::forget`] meanwhile cannot take the
    /// new one's resources with it.
    pub(crate) fn try_intern<E>(
        &self,
        key: K,
        make: impl FnOnce() -> Result<Arc<V>, E>,
    ) -> Result<Arc<V>, E> {
        let mut known = lock(&self.known);
        if let Some(live) = known.values.get(&key).and_then(Weak::upgrade) {
            return Ok(live);
        }
        let fresh = make()?;
        if known.values.len() >= known.sweep_at {
            known.values.retain(|_, value| value.strong_count() > 0);
            known.sweep_at = (2 * known.values.len()).max(SMALLEST_SWEEP);
        }
        known.values.insert(key, Arc::downgrade(&fresh));
        Ok(fresh)
    }

    /// For the drop of a value: runs `release` unless a newer value of the same key is alive, which then owns
    /// what the two shared.
    pub(crate) fn forget(&self, key: &K, release: impl FnOnce()) {
        let mut known = lock(&self.known);
        // Counted, not upgraded: dropping an upgraded handle here would come back for this lock.
        if known.values.get(key).is_none_or(|value| value.strong_count() == 0) {
            known.values.remove(key);
            release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_share_a_value_while_it_lives() {
        let interner = Interner::default();
        let first = interner.intern("k", || 1);
        assert!(Arc::ptr_eq(&first, &interner.intern("k", || 2)));
        drop(first);
        assert_eq!(*interner.intern("k", || 3), 3);
    }

    #[test]
    fn dead_entries_do_not_pile_up() {
        let interner = Interner::default();
        for key in 0..10_000 {
            drop(interner.intern(key, || ()));
        }
        assert!(lock(&interner.known).values.len() <= SMALLEST_SWEEP);
    }

    #[test]
    fn what_a_newer_value_took_over_is_not_released() {
        let interner = Interner::default();
        let kept = interner.intern("k", || 1);
        interner.forget(&"k", || panic!("released although it lives"));
        drop(kept);
        let mut released = false;
        interner.forget(&"k", || released = true);
        assert!(released);
    }
}
