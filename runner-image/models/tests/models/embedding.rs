//! Texts as vectors.

use dise_core::synthesis::ModelApi;
use dise_models::{Embeddings, Failure, ModelError, Settings, UsageSource};
use serde_json::{Value, json};

use crate::harness::{Server, model, usd};

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("text number {number}")).collect()
}

fn similarity(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

async fn embed(server: &Server, texts: &[String]) -> Result<Embeddings, ModelError> {
    server.model(ModelApi::OpenAI).embed(texts).await
}

async fn embed_with(answer: Value, count: usize) -> Result<Embeddings, ModelError> {
    let server = Server::start(json!({"rules": [{"endpoint": "embeddings", "answers": [answer]}]})).await;
    embed(&server, &texts(count)).await
}

#[tokio::test]
async fn gives_each_text_its_vector_in_batches() {
    let server = Server::start(json!({})).await;
    let texts = texts(130);
    let all = embed(&server, &texts).await.unwrap();
    assert_eq!(all.vectors.len(), 130);
    assert_eq!(server.requests().await.len(), 3);
    let one = embed(&server, &texts[100..101]).await.unwrap();
    assert_eq!(all.vectors[100], one.vectors[0]);
    assert!(embed(&server, &[]).await.unwrap().vectors.is_empty());
}

#[tokio::test]
async fn vectors_of_texts_with_common_words_are_near() {
    let server = Server::start(json!({})).await;
    let texts =
        ["count the words of a text", "the words of a text, counted", "reverse list"].map(str::to_owned);
    let vectors = embed(&server, &texts).await.unwrap().vectors;
    assert!(similarity(&vectors[0], &vectors[1]) > similarity(&vectors[0], &vectors[2]) + 0.3);
}

#[tokio::test]
async fn finds_the_order_again() {
    let straight = embed_with(json!({}), 5).await.unwrap();
    let reversed = embed_with(json!({"wrongVectors": "reversed"}), 5).await.unwrap();
    assert_eq!(straight, reversed);
}

#[tokio::test]
async fn costs_what_the_server_reports() {
    let all = embed_with(json!({"usage": {"input": 10}}), 70).await.unwrap();
    assert_eq!((all.usage.input_tokens, all.usage.source), (20, UsageSource::Reported));
    assert_eq!(all.cost, usd("0.00006"));
}

#[tokio::test]
async fn no_wrong_usage_makes_vectors_cheaper() {
    let server = Server::start(json!({})).await;
    for wrong in ["missing", "negative", "huge", "zero"] {
        server.play(json!({"rules": [{"endpoint": "embeddings", "answers": [{"wrongUsage": wrong}]}]})).await;
        let model = server.model(ModelApi::OpenAI);
        let all = model.embed(&texts(70)).await.unwrap();
        assert_ne!(all.usage.source, UsageSource::Reported, "{wrong}");
        assert_eq!(all.cost, model.embed_upper_bound(&texts(70)), "{wrong}");
    }
}

#[tokio::test]
async fn refuses_vectors_that_cannot_be_compared() {
    for wrong in ["nan", "infinite", "short", "missing"] {
        let error = embed_with(json!({"wrongVectors": wrong}), 3).await.unwrap_err();
        assert!(matches!(error.failure, Failure::Malformed { .. }), "{wrong}: {error}");
        assert!(error.maybe_charged, "{wrong}");
    }
}

#[tokio::test]
async fn says_that_earlier_batches_were_charged() {
    let server =
        Server::start(json!({"rules": [{"endpoint": "embeddings", "answers": [{}, {"status": 400}]}]})).await;
    let error = embed(&server, &texts(70)).await.unwrap_err();
    assert_eq!((error.requests, error.maybe_charged), (2, true), "{error}");
    let server =
        Server::start(json!({"rules": [{"endpoint": "embeddings", "answers": [{"status": 400}]}]})).await;
    assert!(!embed(&server, &texts(70)).await.unwrap_err().maybe_charged);
}

#[tokio::test]
async fn asks_again_after_failures_that_pass() {
    let answers = json!([{"status": 503, "retryAfter": 0}, {}]);
    let server = Server::start(json!({"rules": [{"endpoint": "embeddings", "answers": answers}]})).await;
    assert_eq!(embed(&server, &texts(2)).await.unwrap().vectors.len(), 2);
    assert_eq!(server.requests().await.len(), 2);
}

#[tokio::test]
async fn asks_nothing_of_an_api_without_embeddings() {
    let server = Server::start(json!({})).await;
    let settings = Settings { pricing: None, ..server.settings(ModelApi::Anthropic) };
    let error = model(settings).embed(&texts(1)).await.unwrap_err();
    assert!(matches!(error.failure, Failure::Unsupported(_)), "{error}");
    assert_eq!((error.requests, server.requests().await.len()), (0, 0));
}
