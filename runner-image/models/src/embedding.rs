//! Texts as vectors.

use dise_core::{money::Usd, synthesis::ModelApi};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::{Failure, Model, ModelError, Usage, UsageSource, protocol::openai, usage::Bound};

/// Texts of one request. Servers take more, but the answer must stay within its bound.
const BATCH: usize = 64;

/// Vectors of texts, and their price.
#[derive(Clone, Debug, PartialEq)]
pub struct Embeddings {
    /// One vector a text, in their order, all of one dimension and without a number that is none.
    pub vectors: Vec<Vec<f32>>,
    /// The tokens that were used.
    pub usage: Usage,
    /// What they cost.
    pub cost: Usd,
}

#[derive(Deserialize)]
struct Entry {
    index: usize,
    embedding: Vec<f32>,
}

impl Model {
    /// Turns texts into vectors, 64 of them a request.
    ///
    /// # Errors
    /// See [`ModelError`]. When a later request fails, the earlier ones were charged, and the error says so.
    pub async fn embed<T: AsRef<str> + Sync>(&self, texts: &[T]) -> Result<Embeddings, ModelError> {
        let deadline = self.deadline();
        let nothing = Usage { input_tokens: 0, output_tokens: 0, source: UsageSource::Reported };
        let mut all =
            Embeddings { vectors: Vec::with_capacity(texts.len()), usage: nothing, cost: Usd::ZERO };
        let mut requests = 0;
        for batch in texts.chunks(BATCH) {
            let batch: Vec<&str> = batch.iter().map(AsRef::as_ref).collect();
            if let Err(failure) = self.embed_batch(&batch, &mut all, deadline, &mut requests).await {
                let mut error = self.error(failure, requests);
                error.maybe_charged |= all.cost > Usd::ZERO;
                return Err(error);
            }
        }
        Ok(all)
    }

    /// The most that [`embed`](Self::embed) can cost for these texts.
    #[must_use]
    pub fn embed_upper_bound<T: AsRef<str>>(&self, texts: &[T]) -> Usd {
        self.settings.cost(&Bound::of_texts(texts).usage(UsageSource::Missing))
    }

    async fn embed_batch(
        &self,
        texts: &[&str],
        all: &mut Embeddings,
        deadline: Instant,
        requests: &mut u32,
    ) -> Result<(), Failure> {
        if self.settings.api == ModelApi::Anthropic {
            return Err(Failure::Unsupported(
                "Anthropic's API has no embeddings; use a server of the OpenAI API",
            ));
        }
        let body = openai::embedding_body(&self.settings.model, texts);
        let (answer, _) = self.post(&self.url(&["embeddings"]), &body, deadline, requests).await?;
        let limit = u64::from(self.settings.context_tokens).saturating_mul(texts.len() as u64);
        let usage = Bound::of_texts(texts).judge(openai::embedding_usage(&answer), limit, false);
        all.cost = all.cost + self.settings.cost(&usage);
        all.usage.input_tokens += usage.input_tokens;
        if usage.source != UsageSource::Reported {
            all.usage.source = usage.source;
        }
        let dimension = all.vectors.first().map(Vec::len);
        let vectors =
            vectors(answer, texts.len(), dimension).map_err(|fault| Failure::Malformed { fault })?;
        all.vectors.extend(vectors);
        Ok(())
    }
}

/// The vectors of an answer in the order of the texts.
fn vectors(mut answer: Value, texts: usize, dimension: Option<usize>) -> Result<Vec<Vec<f32>>, String> {
    let mut entries: Vec<Entry> = serde_json::from_value(answer["data"].take())
        .map_err(|error| format!("its vectors cannot be read: {error}"))?;
    entries.sort_by_key(|entry| entry.index);
    if entries.len() != texts || entries.iter().enumerate().any(|(index, entry)| entry.index != index) {
        return Err(format!("it holds {} vectors, not one for each of {texts} texts", entries.len()));
    }
    let dimension =
        dimension.or_else(|| entries.first().map(|entry| entry.embedding.len())).unwrap_or_default();
    for Entry { index, embedding } in &entries {
        if embedding.len() != dimension || embedding.is_empty() {
            let found = embedding.len();
            return Err(format!("vector {index} has {found} dimensions, others have {dimension}"));
        }
        if embedding.iter().any(|number| !number.is_finite()) {
            return Err(format!("vector {index} holds a number that is not finite"));
        }
    }
    Ok(entries.into_iter().map(|entry| entry.embedding).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(index: usize, embedding: &Value) -> Value {
        json!({"index": index, "embedding": embedding})
    }

    #[test]
    fn puts_vectors_in_the_order_of_the_texts() {
        let answer = json!({"data": [entry(1, &json!([3, 4])), entry(0, &json!([1, 2]))]});
        assert_eq!(vectors(answer, 2, None).unwrap(), [[1.0, 2.0], [3.0, 4.0]]);
    }

    #[test]
    fn refuses_vectors_that_cannot_be_compared() {
        let good = json!([1, 2]);
        for (data, dimension, word) in [
            (json!(null), None, "cannot be read"),
            (json!([entry(0, &good)]), None, "1 vectors"),
            (json!([entry(0, &good), entry(0, &good)]), None, "not one for each"),
            (json!([entry(0, &good), entry(1, &json!([1]))]), None, "vector 1 has 1 dimensions"),
            (json!([entry(0, &good), entry(1, &good)]), Some(3), "others have 3"),
            (json!([entry(0, &json!([])), entry(1, &json!([]))]), None, "0 dimensions"),
            (json!([entry(0, &good), entry(1, &json!([1, 1e300]))]), None, "not finite"),
            (json!([entry(0, &good), entry(1, &json!([1, null]))]), None, "cannot be read"),
            (json!([entry(0, &good), entry(1, &json!([1, "NaN"]))]), None, "cannot be read"),
        ] {
            let fault = vectors(json!({"data": data}), 2, dimension).unwrap_err();
            assert!(fault.contains(word), "{fault}");
        }
    }
}
