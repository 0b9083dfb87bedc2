//! What calls of models have cost: the ledger of each namespace, in the object store.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use dise_core::budget::Ledger;

use crate::store::{Key, Store, StoreError};

/// The ledgers, as last seen by this process.
#[derive(Default)]
pub struct Spend(Mutex<HashMap<String, Ledger>>);

impl Spend {
    /// Changes the ledger of a namespace. What `change` returns holds only once this has returned.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn update<R>(
        &self,
        store: &Store,
        namespace: &str,
        mut change: impl FnMut(&mut Ledger) -> R,
    ) -> Result<R, StoreError> {
        let mut seen = Ledger::default();
        let outcome = store
            .update(&Key::spend(namespace), |ledger: &mut Ledger| {
                let outcome = change(ledger);
                seen = ledger.clone();
                outcome
            })
            .await?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), seen);
        Ok(outcome)
    }

    /// The ledger of a namespace.
    ///
    /// # Errors
    /// The store does not answer and the ledger was not seen before.
    pub async fn of(&self, store: &Store, namespace: &str) -> Result<Ledger, StoreError> {
        if let Some(seen) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(namespace) {
            return Ok(seen.clone());
        }
        let ledger: Ledger = store.document(&Key::spend(namespace)).await?.unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(namespace.to_owned(), ledger.clone());
        Ok(ledger)
    }
}
