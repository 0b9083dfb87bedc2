//! The memory: every artifact of a namespace, found again by meaning, words, tags and proven quality.
//!
//! Each replica has an index of its own, which is derived: from the records in the object store when it starts, and from
//! the objects of the cluster while it runs. Losing it costs the time to build it again.

mod embed;
mod follow;
mod load;
mod records;

use std::{path::PathBuf, sync::Arc, time::Duration};

use dise_core::{
    money::Usd,
    synthesis::Task,
    wire::{Recalled, Recollection, SearchHit, SearchQuery, SearchResult},
};
use dise_crds::Artifact;
use dise_index::{
    ChromaServer, Engine, Filter, Hit, Index, Kind, Namespace, Options, Place, Query, Record, Vector,
};
use kube::ResourceExt as _;
use tokio::sync::Notify;

use self::embed::Embedder;
pub use self::load::reindex;
use crate::{
    config::Settings,
    store::{Key, Store},
};

/// Hits of a search that does not say how many it wants.
const HITS: u32 = 10;
/// Hits that a search gets at most.
const MOST_HITS: u32 = 100;
/// How long a search waits for what it is looked for to be embedded. After that words alone must do.
const EMBEDDING: Duration = Duration::from_secs(3);
/// What a file is called that asks for the index to be built anew, beside the index's folder.
const REBUILD: &str = "rebuild";

/// The memory of all namespaces.
pub struct Memory {
    index: Arc<Index>,
    store: Store,
    embedder: Option<Embedder>,
    folder: Option<PathBuf>,
    /// Something was stored that has no vector yet.
    changed: Notify,
}

/// Why the memory did not do something.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The index failed.
    #[error("the index of artifacts: {0}")]
    Index(#[from] dise_index::Error),
    /// The object store refused or did not answer.
    #[error(transparent)]
    Store(#[from] crate::store::StoreError),
    /// The settings of the embedding model cannot work.
    #[error("the embedding model: {0}")]
    Embedding(String),
    /// What was asked has no kind of this name.
    #[error("`{0}` is no kind of artifact; there are: Function, Workflow, Tool, Test, Prompt")]
    Kind(String),
    /// The index was not finished with.
    #[error("the index of artifacts was interrupted")]
    Interrupted,
}

impl Memory {
    /// The memory that the settings name. Nothing is read yet.
    ///
    /// # Errors
    /// Settings that cannot work, or a folder that cannot be made.
    pub fn open(settings: &Settings, store: Store) -> Result<Self, MemoryError> {
        let embedder = Embedder::of(settings)?;
        let engine = match &settings.chroma_url {
            Some(url) => Engine::Chroma(ChromaServer::at(url.clone())),
            None => Engine::Embedded,
        };
        let folder = settings.index_dir.clone();
        let options = Options {
            place: folder.clone().map_or(Place::Memory, Place::Folder),
            model: embedder.as_ref().map(|embedder| embedder.name().to_owned()),
            engine,
        };
        let index = Arc::new(Index::open(options)?);
        Ok(Self { index, store, embedder, folder, changed: Notify::new() })
    }

    /// What a search finds in a namespace.
    ///
    /// # Errors
    /// An unknown kind, or the index fails.
    pub async fn search(&self, namespace: &str, query: SearchQuery) -> Result<SearchResult, MemoryError> {
        let kinds: Result<Vec<Kind>, MemoryError> =
            query.filter.kinds.iter().map(|kind| parse_kind(kind)).collect();
        let filter = Filter {
            kinds: kinds?,
            languages: query.filter.languages,
            tags: query.filter.tags,
            min_quality: query.filter.min_quality,
        };
        let limit = query.limit.unwrap_or(HITS).min(MOST_HITS);
        let vector = self.embed(&query.text).await;
        let by_meaning = vector.is_some();
        let hits = self.find(namespace, &query.text, vector, filter, limit).await?;
        Ok(SearchResult { hits: hits.into_iter().map(hit).collect(), by_meaning })
    }

    /// The functions of a namespace that may solve a task, the most promising first.
    ///
    /// # Errors
    /// The index or the store fails.
    pub async fn recall(
        &self,
        namespace: &str,
        task: &Task,
        limit: u32,
    ) -> Result<Recollection, MemoryError> {
        if limit == 0 {
            return Ok(Recollection::default());
        }
        let filter =
            Filter { kinds: vec![Kind::Function], languages: vec![task.language], ..Filter::default() };
        let vector = self.embed(&task.description).await;
        let hits = self.find(namespace, &task.description, vector, filter, limit).await?;
        let mut functions = Vec::with_capacity(hits.len());
        for hit in hits {
            let key = Key::artifact(namespace, &hit.record.id);
            if let Some(artifact) = self.store.document::<Artifact>(&key).await?
                && let Some(recalled) = recalled(&artifact)
            {
                functions.push(recalled);
            }
        }
        Ok(Recollection { functions })
    }

    async fn find(
        &self,
        namespace: &str,
        text: &str,
        vector: Option<Vector>,
        filter: Filter,
        limit: u32,
    ) -> Result<Vec<Hit>, MemoryError> {
        let query = Query {
            namespace: namespace.parse::<Namespace>()?,
            text: (!text.trim().is_empty()).then(|| text.to_owned()),
            vector,
            filter,
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
        };
        self.blocking(move |index| index.search(&query)).await
    }

    /// The vector of a text, if there is a model and it answers in time.
    async fn embed(&self, text: &str) -> Option<Vector> {
        let embedder = self.embedder.as_ref().filter(|_| !text.trim().is_empty())?;
        match tokio::time::timeout(EMBEDDING, embedder.embed(&[text])).await {
            Ok(Ok(mut vectors)) => vectors.pop(),
            Ok(Err(fault)) => {
                tracing::warn!(%fault, "a search goes by words alone");
                None
            }
            Err(_) => {
                tracing::warn!("the embedding model did not answer in time; a search goes by words alone");
                None
            }
        }
    }

    async fn upsert(&self, records: Vec<Record>) -> Result<(), MemoryError> {
        if records.is_empty() {
            return Ok(());
        }
        self.blocking(move |index| index.upsert(records)).await?;
        self.changed.notify_one();
        Ok(())
    }

    /// Runs something on the index, whose calls block.
    async fn blocking<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Index) -> Result<T, dise_index::Error> + Send + 'static,
    ) -> Result<T, MemoryError> {
        let index = Arc::clone(&self.index);
        match tokio::task::spawn_blocking(move || call(&index)).await {
            Ok(outcome) => Ok(outcome?),
            Err(_) => Err(MemoryError::Interrupted),
        }
    }
}

fn parse_kind(kind: &str) -> Result<Kind, MemoryError> {
    serde_json::from_value(kind.into()).map_err(|_| MemoryError::Kind(kind.to_owned()))
}

fn recalled(artifact: &Artifact) -> Option<Recalled> {
    let source = artifact.spec.source.clone()?;
    let function = dise_core::function::Function { language: artifact.spec.language.into(), source };
    let cost = artifact.spec.origin.cost_usd.as_ref().and_then(|cost| cost.parse::<Usd>().ok());
    Some(Recalled {
        artifact: artifact.name_any(),
        description: artifact.spec.description.clone(),
        function,
        cost_usd: cost,
    })
}

fn hit(hit: Hit) -> SearchHit {
    let Hit { record, score, parts } = hit;
    let parts = [
        ("meaning", parts.meaning),
        ("words", parts.words),
        ("quality", parts.quality),
        ("use", parts.usage),
    ];
    SearchHit {
        name: record.id,
        kind: record.kind.to_string(),
        language: record.language,
        description: record.text.lines().nth(1).unwrap_or_default().to_owned(),
        digest: Some(record.digest),
        quality: record.quality,
        usage: record.usage,
        score,
        parts: parts.into_iter().map(|(name, part)| (name.to_owned(), part)).collect(),
    }
}

#[cfg(test)]
mod tests;
