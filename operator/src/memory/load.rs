//! The index is built from the records in the object store, and built again when somebody asks for it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use anyhow::Context as _;
use dise_crds::Artifact;
use dise_index::Namespace;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{Memory, MemoryError, REBUILD, records};
use crate::{config::Settings, store::Key};

/// Records that are read at the same time.
const READS: usize = 32;
/// Records that are stored together.
const BATCH: usize = 256;
/// How often it is looked whether somebody asks for the index to be built anew.
const LOOK: Duration = Duration::from_secs(2);
/// How often the index is written down.
const FLUSH: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(10);

impl Memory {
    /// Brings the index in step with the object store, until that has succeeded once.
    pub(super) async fn load(&self) {
        loop {
            match self.load_all().await {
                Ok(read) => {
                    tracing::info!(read, "the index of artifacts is in step with the object store");
                    return;
                }
                Err(fault) => {
                    tracing::warn!(%fault, "cannot build the index of artifacts; trying again");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Waits until a file asks for the index to be built anew, and does so.
    pub(super) async fn rebuild_when_asked(&self) {
        let Some(marker) = self.folder.as_deref().map(marker) else { return std::future::pending().await };
        while !tokio::fs::try_exists(&marker).await.unwrap_or(false) {
            tokio::time::sleep(LOOK).await;
        }
        let outcome = async {
            for namespace in self.blocking(dise_index::Index::namespaces).await? {
                self.blocking(move |index| index.discard(&namespace)).await?;
            }
            self.load_all().await
        };
        match outcome.await {
            Ok(read) => tracing::info!(read, "the index of artifacts was built anew"),
            Err(fault) => tracing::error!(%fault, "cannot build the index of artifacts anew"),
        }
        if let Err(fault) = tokio::fs::remove_file(&marker).await {
            tracing::warn!(%fault, file = %marker.display(), "cannot remove the file");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Writes down now and then what makes the next start quick, for as long as it is polled.
    pub(super) async fn keep_flushed(&self) {
        loop {
            tokio::time::sleep(FLUSH).await;
            if let Err(fault) = self.blocking(dise_index::Index::flush).await {
                tracing::warn!(%fault, "the index of artifacts was not written down; its next start takes longer");
            }
        }
    }

    /// Returns how many records were read: those that the index does not have yet.
    async fn load_all(&self) -> Result<usize, MemoryError> {
        let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (namespace, name) in self.store.artifacts().await? {
            names.entry(namespace).or_default().push(name);
        }
        let mut read = 0;
        for (namespace, names) in names {
            let Ok(place) = namespace.parse::<Namespace>() else { continue };
            let known = self.known(&place).await?;
            let missing: Vec<&String> = names.iter().filter(|name| !known.contains(name)).collect();
            read += missing.len();
            for batch in missing.chunks(BATCH) {
                let artifacts: Vec<Option<Artifact>> = stream::iter(batch)
                    .map(|name| async { self.store.document(&Key::artifact(&namespace, name)).await })
                    .buffer_unordered(READS)
                    .try_collect()
                    .await?;
                let artifacts = artifacts.into_iter().flatten();
                self.upsert(artifacts.flat_map(|artifact| records::of_artifact(&artifact)).collect()).await?;
            }
            let gone: Vec<String> = known.into_iter().filter(|name| !names.contains(name)).collect();
            self.forget(&place, gone).await?;
        }
        Ok(read)
    }

    /// The artifacts that the index has of a namespace. One that cannot be used any more is begun anew.
    async fn known(&self, namespace: &Namespace) -> Result<Vec<String>, MemoryError> {
        let of = namespace.clone();
        let found = self.blocking(move |index| index.digests(&of)).await;
        match found {
            Ok(digests) => Ok(digests.into_keys().filter(|id| !id.contains('/')).collect()),
            Err(MemoryError::Index(fault @ dise_index::Error::Unusable { .. })) => {
                tracing::warn!(%fault, "building it anew");
                let of = namespace.clone();
                self.blocking(move |index| index.discard(&of)).await?;
                Ok(Vec::new())
            }
            Err(fault) => Err(fault),
        }
    }

    /// Removes artifacts whose records are gone, with their tests.
    pub(super) async fn forget(&self, namespace: &Namespace, names: Vec<String>) -> Result<(), MemoryError> {
        if names.is_empty() {
            return Ok(());
        }
        let namespace = namespace.clone();
        self.blocking(move |index| {
            let tests: Vec<String> = names.iter().map(|name| format!("test/{name}")).collect();
            let all: Vec<&str> = names.iter().chain(&tests).map(String::as_str).collect();
            index.delete(&namespace, &all)
        })
        .await
    }
}

/// Has the operator that runs in this pod build its index anew, and waits until that is done.
///
/// # Errors
/// The index is in memory, or the operator does not answer.
pub async fn reindex(settings: &Settings) -> anyhow::Result<()> {
    let folder = settings
        .index_dir
        .as_deref()
        .context("the index is in memory (no DISE_INDEX_DIR): restart the pod and it is built anew")?;
    let marker = marker(folder);
    tokio::fs::write(&marker, b"").await.with_context(|| format!("cannot write {}", marker.display()))?;
    eprintln!("building the index of artifacts anew; the operator's log says how many were read");
    while tokio::fs::try_exists(&marker).await? {
        tokio::time::sleep(LOOK / 4).await;
    }
    eprintln!("done");
    Ok(())
}

fn marker(folder: &Path) -> std::path::PathBuf {
    folder.with_extension(REBUILD)
}
