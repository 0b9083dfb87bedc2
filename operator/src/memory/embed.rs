//! Texts become vectors, in the background.

use std::time::Duration;

use dise_core::synthesis::ModelApi;
use dise_index::Vector;
use dise_models::{ApiKey, Model};

use super::{Memory, MemoryError};
use crate::config::Settings;

/// Texts that are embedded together.
const BATCH: usize = 32;
const TIMEOUT: Duration = Duration::from_mins(1);
const ATTEMPTS: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// Of a text that a model takes, at most: small ones hold a few hundred tokens.
const CHARACTERS: usize = 1500;

/// The model that turns texts into vectors.
pub(super) struct Embedder {
    model: Model,
    name: String,
}

impl Embedder {
    /// The one that the settings name, if they do.
    pub(super) fn of(settings: &Settings) -> Result<Option<Self>, MemoryError> {
        let (Some(endpoint), Some(name)) = (&settings.embedding_endpoint, &settings.embedding_model) else {
            return Ok(None);
        };
        let fault = |fault: &dyn std::fmt::Display| MemoryError::Embedding(fault.to_string());
        let key = match &settings.embedding_key_file {
            None => None,
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| fault(&format!("cannot read its key in {}: {error}", path.display())))?;
                Some(ApiKey::new(&text).map_err(|error| fault(&error))?)
            }
        };
        let wish = dise_models::Settings {
            api: ModelApi::OpenAI,
            endpoint: endpoint.parse().map_err(|error| fault(&error))?,
            model: name.clone(),
            pricing: None,
            context_tokens: 8192,
            max_tokens: 1,
            temperature: None,
            timeout: TIMEOUT,
            attempts: ATTEMPTS,
        };
        let model = Model::new(wish, key).map_err(|error| fault(&error))?;
        Ok(Some(Self { model, name: name.clone() }))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// One vector a text.
    pub(super) async fn embed(&self, texts: &[&str]) -> Result<Vec<Vector>, MemoryError> {
        let texts: Vec<String> = texts.iter().map(|text| text.chars().take(CHARACTERS).collect()).collect();
        let found =
            self.model.embed(&texts).await.map_err(|error| MemoryError::Embedding(error.to_string()))?;
        let vector = |values| Vector { model: self.name.clone(), values };
        Ok(found.vectors.into_iter().map(vector).collect())
    }
}

impl Memory {
    /// Embeds what has no vector yet, for as long as it is polled.
    pub(super) async fn keep_embedded(&self) {
        let Some(embedder) = &self.embedder else { return std::future::pending().await };
        let mut pause = FIRST_PAUSE;
        loop {
            match self.embed_all(embedder).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    self.changed.notified().await;
                }
                Err(fault) => {
                    tracing::warn!(%fault, retry_seconds = pause.as_secs(), "texts are not embedded; searches go by words");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    pub(super) async fn embed_all(&self, embedder: &Embedder) -> Result<(), MemoryError> {
        for namespace in self.blocking(dise_index::Index::namespaces).await? {
            loop {
                let of = namespace.clone();
                let stale = self.blocking(move |index| index.stale_vectors(&of, BATCH)).await?;
                if stale.is_empty() {
                    break;
                }
                let texts: Vec<&str> = stale.iter().map(|stale| stale.text.as_str()).collect();
                let vectors = embedder.embed(&texts).await?;
                let pairs: Vec<_> = stale.into_iter().zip(vectors).collect();
                let of = namespace.clone();
                self.blocking(move |index| index.set_vectors(&of, &pairs)).await?;
            }
        }
        Ok(())
    }
}
