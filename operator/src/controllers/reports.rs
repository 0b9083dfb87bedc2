//! Reports, read once from the store and then remembered: they never change.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use dise_core::{
    digest::{Digest, canonical_json},
    verification::VerificationReport,
};
use serde::{Serialize, de::DeserializeOwned};

use super::Error;

use crate::store::{Key, Store, StoreError};

/// Beyond this all are forgotten and read again: a bound on memory matters more than the reads.
const REMEMBERED: usize = 10_000;
/// Failing cases that a message shows.
const SHOWN_FAILURES: usize = 3;

/// Reports of one kind by namespace and digest.
pub struct Reports<T> {
    key: fn(&str, Digest) -> Key,
    known: Mutex<HashMap<(String, Digest), Arc<T>>>,
}

impl<T: DeserializeOwned> Reports<T> {
    /// Those that lie where `key` says.
    #[must_use]
    pub fn new(key: fn(&str, Digest) -> Key) -> Self {
        Self { key, known: Mutex::default() }
    }

    /// The report, or `None` while there is none.
    ///
    /// # Errors
    /// The store does not answer and the report was not read before.
    pub async fn get(
        &self,
        store: &Store,
        namespace: &str,
        digest: Digest,
    ) -> Result<Option<Arc<T>>, StoreError> {
        let key = (namespace.to_owned(), digest);
        if let Some(known) = self.lock().get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(report) = store.document(&(self.key)(namespace, digest)).await? else {
            return Ok(None);
        };
        let report: Arc<T> = Arc::new(report);
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&report));
        Ok(Some(report))
    }

    /// Has a report read again that may have been replaced.
    pub fn forget(&self, namespace: &str, digest: Digest) {
        self.lock().remove(&(namespace.to_owned(), digest));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Digest), Arc<T>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a request where its Job finds it: its canonical JSON is the blob of its digest.
///
/// # Errors
/// The store does not answer, or the request has no JSON form.
pub(super) async fn store_request<T: Serialize>(
    store: &Store,
    namespace: &str,
    request: &T,
) -> Result<Digest, Error> {
    Ok(store.put_blob(namespace, Bytes::from(canonical_json(request)?)).await?)
}

/// What a report says against a function, in a few sentences: at most three cases.
#[must_use]
pub fn describe_failures(report: &VerificationReport) -> String {
    if let Some(fault) = &report.fault {
        return fault.clone();
    }
    let total = report.passed + report.failed;
    let shown = report.failures.iter().take(SHOWN_FAILURES);
    let cases = shown.map(|failure| format!("example {}: {}", failure.example, failure.message));
    let cases = cases.collect::<Vec<_>>().join("; ");
    let more = usize::try_from(report.failed).unwrap_or_default().saturating_sub(SHOWN_FAILURES);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{} of {total} examples failed: {cases}{more}", report.failed)
}
