//! Blobs from the nearest place that has them.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use dise_core::{digest::Digest, wire::PlanList};
use tokio::task::spawn_blocking;

use super::{
    cache::Cache,
    client::{Operator, OperatorError},
};

/// Reads blobs from the disk cache, else from the operator, which fills the cache.
#[derive(Clone, Debug)]
pub struct Blobs {
    operator: Option<Arc<Operator>>,
    cache: Option<Cache>,
}

impl Blobs {
    /// Blobs of this operator; without a cache everything is fetched.
    #[must_use]
    pub fn new(operator: Arc<Operator>, cache: Option<Cache>) -> Self {
        Self { operator: Some(operator), cache }
    }

    /// The same blobs without the operator: what is not on disk is not there.
    #[must_use]
    pub fn offline(&self) -> Self {
        Self { operator: None, cache: self.cache.clone() }
    }

    /// The blob, verified.
    ///
    /// # Errors
    /// It is not in the cache and the operator did not give it.
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, OperatorError> {
        let digest = *digest;
        if let Some(content) = self.with_cache(move |cache| cache.blob(&digest)).await.flatten() {
            return Ok(content);
        }
        let Some(operator) = &self.operator else { return Err(OperatorError::NotCached(digest)) };
        let content = operator.blob(&digest).await?;
        let kept = content.clone();
        let written = self.with_cache(move |cache| cache.keep_blob(&digest, &kept)).await;
        report("a blob", written);
        Ok(content)
    }

    /// The list of plans that was kept last.
    pub async fn list(&self) -> Option<PlanList> {
        self.with_cache(Cache::list).await.flatten()
    }

    /// Keeps the list of plans.
    pub async fn keep_list(&self, list: PlanList) {
        report("the list of plans", self.with_cache(move |cache| cache.keep_list(&list)).await);
    }

    /// Removes all cached blobs but `wanted`.
    pub async fn retain(&self, wanted: HashSet<Digest>) {
        report("the removal of old blobs", self.with_cache(move |cache| cache.retain(&wanted)).await);
    }

    async fn with_cache<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Cache) -> T + Send + 'static,
    ) -> Option<T> {
        let cache = self.cache.clone()?;
        spawn_blocking(move || work(&cache)).await.ok()
    }
}

fn report<T>(what: &str, written: Option<std::io::Result<T>>) {
    if let Some(Err(error)) = written {
        tracing::warn!(%error, "the disk cache does not take {what}; a restart will need the operator");
    }
}
