use axum::{Json, Router, routing::post};
use clap::Parser as _;
use dise_core::{
    digest::Digest,
    function::{Language, Limits},
};
use dise_crds::{ArtifactSpec, Origin, OriginKind, Workflow, WorkflowSpec, WorkflowStatus};
use serde_json::{Value, json};
use url::Url;

use super::*;

fn settings(further: &[String]) -> Settings {
    let fixed = ["dise-operator", "--store-url=memory:///", "--runner-image=r"].map(str::to_owned);
    Settings::parse_from(fixed.into_iter().chain(further.iter().cloned()))
}

fn store() -> Store {
    Store::open(&Url::parse("memory:///").unwrap()).unwrap()
}

async fn remember(store: &Store, name: &str, description: &str) {
    let source = format!("def run(input):\n    return '{name}'\n");
    let spec = ArtifactSpec {
        description: description.into(),
        digest: Digest::of(source.as_bytes()).to_string(),
        source: Some(source),
        origin: Origin { kind: OriginKind::Synthesis, cost_usd: Some("0.02".into()), ..Origin::default() },
        ..ArtifactSpec::default()
    };
    let mut artifact = Artifact::new(name, spec);
    artifact.metadata.namespace = Some("shop".into());
    store.put(&Key::artifact("shop", name), &artifact).await.unwrap();
}

fn task(description: &str) -> Task {
    Task {
        description: description.into(),
        language: Language::Python,
        output: json!(true),
        examples: Vec::new(),
        checks: Vec::new(),
        limits: Limits::default(),
    }
}

fn words(text: &str) -> SearchQuery {
    SearchQuery { text: text.into(), ..SearchQuery::default() }
}

async fn names(memory: &Memory, text: &str) -> Vec<String> {
    let found = memory.search("shop", words(text)).await.unwrap();
    found.hits.into_iter().filter(|hit| hit.kind == "Function").map(|hit| hit.name).collect()
}

#[tokio::test]
async fn recalls_what_the_store_has_with_its_code_and_what_it_had_cost() {
    let store = store();
    remember(&store, "mirror-1", "Reverse the text.").await;
    remember(&store, "sum-1", "Add two numbers.").await;
    let memory = Memory::open(&settings(&[]), store).unwrap();
    memory.load().await;
    let recalled = memory.recall("shop", &task("reverse a text"), 1).await.unwrap().functions;
    assert_eq!(recalled.len(), 1);
    assert_eq!(recalled[0].artifact, "mirror-1");
    assert!(recalled[0].function.source.contains("mirror-1"));
    assert_eq!(recalled[0].cost_usd, Some("0.02".parse().unwrap()));
    assert!(memory.recall("bank", &task("reverse a text"), 5).await.unwrap().functions.is_empty());
    assert!(memory.recall("shop", &task("reverse a text"), 0).await.unwrap().functions.is_empty());
}

#[tokio::test]
async fn follows_the_store_and_is_built_anew_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let index = folder.path().join("index");
    let store = store();
    let settings = settings(&[format!("--index-dir={}", index.display())]);
    remember(&store, "mirror-1", "Reverse the text.").await;
    let memory = Memory::open(&settings, store.clone()).unwrap();
    memory.load().await;
    assert_eq!(names(&memory, "reverse").await, ["mirror-1"]);

    store.delete(&Key::artifact("shop", "mirror-1")).await.unwrap();
    remember(&store, "mirror-2", "Reverse the text.").await;
    tokio::select! {
        () = memory.rebuild_when_asked() => {}
        outcome = reindex(&settings) => outcome.unwrap(),
    }
    assert_eq!(names(&memory, "reverse").await, ["mirror-2"]);
}

#[tokio::test]
async fn takes_over_what_changes_of_an_object_and_its_words_only_when_they_do() {
    let memory = Memory::open(&settings(&[]), store()).unwrap();
    let declared = |description: &str, executions| {
        let spec = WorkflowSpec { description: description.into(), ..WorkflowSpec::default() };
        let mut workflow = Workflow::new("mirror", spec);
        workflow.metadata.namespace = Some("shop".into());
        workflow.status = Some(WorkflowStatus { executions: Some(executions), ..WorkflowStatus::default() });
        records::of_workflow(&workflow).into_iter().collect::<Vec<_>>()
    };
    memory.remember(declared("Reverse the text.", 1)).await.unwrap();
    memory.remember(declared("Reverse the text.", 7)).await.unwrap();
    let found = memory.search("shop", words("reverse")).await.unwrap().hits;
    assert_eq!((found.len(), found[0].usage), (1, 7));
    memory.remember(declared("Turn the text round.", 8)).await.unwrap();
    assert!(memory.search("shop", words("reverse")).await.unwrap().hits.is_empty());
    assert_eq!(memory.search("shop", words("round")).await.unwrap().hits[0].usage, 8);
}

#[tokio::test]
async fn compares_meanings_while_the_model_answers_and_words_when_it_does_not() {
    // A model for which `flip` and `reverse` mean the same.
    async fn embed(Json(request): Json<Value>) -> Json<Value> {
        let texts = request["input"].as_array().unwrap();
        let vector = |text: &Value| {
            let text = text.as_str().unwrap().to_lowercase();
            if text.contains("flip") || text.contains("reverse") { [1.0, 0.1] } else { [0.1, 1.0] }
        };
        let data =
            texts.iter().enumerate().map(|(index, text)| json!({"index": index, "embedding": vector(text)}));
        Json(json!({"data": data.collect::<Vec<_>>(), "usage": {"prompt_tokens": 1, "total_tokens": 1}}))
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1", listener.local_addr().unwrap());
    let router = Router::new().route("/v1/embeddings", post(embed));
    let server = tokio::spawn(async move { axum::serve(listener, router).await });

    let store = store();
    remember(&store, "mirror-1", "Reverse the text.").await;
    remember(&store, "sum-1", "Add two numbers.").await;
    let further = [format!("--embedding-endpoint={endpoint}"), "--embedding-model=mini".to_owned()];
    let memory = Memory::open(&settings(&further), store).unwrap();
    memory.load().await;
    memory.embed_all(memory.embedder.as_ref().unwrap()).await.unwrap();
    let found = memory.search("shop", words("flip")).await.unwrap();
    assert!(found.by_meaning);
    assert_eq!(found.hits[0].name, "mirror-1");
    assert!(found.hits[0].parts["meaning"] > 0.0 && found.hits[0].parts["words"] == 0.0);

    server.abort();
    let _ = server.await;
    let found = memory.search("shop", words("numbers")).await.unwrap();
    assert!(!found.by_meaning);
    assert_eq!(found.hits[0].name, "sum-1");
}
