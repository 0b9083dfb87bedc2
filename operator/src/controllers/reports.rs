//! Verification reports, read once from the store and then remembered: they never change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use dise_core::{
    digest::{Digest, canonical_json},
    verification::{VerificationReport, VerificationRequest},
};

use super::Error;

use crate::store::{Key, Store, StoreError};

/// Beyond this all are forgotten and read again: a bound on memory matters more than the reads.
const REMEMBERED: usize = 10_000;

/// Verification reports by namespace and request.
#[derive(Default)]
pub struct Reports(Mutex<HashMap<(String, Digest), Arc<VerificationReport>>>);

impl Reports {
    /// The report on a request, or `None` while there is none.
    ///
    /// # Errors
    /// The store does not answer and the report was not read before.
    pub async fn get(
        &self,
        store: &Store,
        namespace: &str,
        request: Digest,
    ) -> Result<Option<Arc<VerificationReport>>, StoreError> {
        let key = (namespace.to_owned(), request);
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(report) = store.document(&Key::verification(namespace, request)).await? else {
            return Ok(None);
        };
        let report: Arc<VerificationReport> = Arc::new(report);
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&report));
        Ok(Some(report))
    }
}

/// Puts a request where a verification Job finds it: its canonical JSON is the blob of its digest.
///
/// # Errors
/// The store does not answer, or the request has no JSON form.
pub(super) async fn store_request(
    store: &Store,
    namespace: &str,
    request: &VerificationRequest,
) -> Result<Digest, Error> {
    Ok(store.put_blob(namespace, canonical_json(request)?.into()).await?)
}
