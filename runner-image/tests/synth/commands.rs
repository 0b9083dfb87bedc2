//! The binary: `synth`, with an operator and a model behind HTTP.

use std::{
    collections::HashMap,
    fs,
    process::Output,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use dise_core::{
    digest::{Digest, canonical_json},
    synthesis::{Outcome, Pricing, SecretKey, SynthesisReport, SynthesisRequest},
    wire::{CallAnswer, CallClaim, CallGrant, CallOutcome, Progress, Recollection},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, process::Command};

use crate::script::{PROMPTS, reverse};

const KEY: &str = "sk-very-secret-key";
const OTHER_KEY: &str = "sk-revoked-key";

#[derive(Default)]
struct Told {
    blobs: HashMap<Digest, Vec<u8>>,
    answers: HashMap<Digest, CallAnswer>,
    progress: Vec<String>,
    reports: Vec<SynthesisReport>,
    /// Requests that the model got.
    asked: Vec<Value>,
    /// The first requests to the operator that are answered 503.
    failures: usize,
}

/// Operator and model in one.
#[derive(Clone, Default)]
struct World(Arc<Mutex<Told>>);

impl World {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap()
    }

    fn add_blob(&self, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        self.told().blobs.insert(digest, content.to_vec());
        digest
    }

    async fn start(&self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/blobs/{digest}", get(blob))
            .route("/v1/syntheses/{search}/recall", get(async || Json(Recollection::default())))
            .route("/v1/syntheses/{search}/calls/{call}", post(claim).put(settle))
            .route("/v1/syntheses/{search}/progress", put(progress))
            .route("/v1/syntheses/{search}/report", put(report))
            .route("/model/v1/chat/completions", post(chat))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }
}

async fn blob(State(world): State<World>, Path(digest): Path<Digest>) -> Response {
    let mut told = world.told();
    if told.failures > 0 {
        told.failures -= 1;
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    told.blobs
        .get(&digest)
        .cloned()
        .map_or(StatusCode::NOT_FOUND.into_response(), IntoResponse::into_response)
}

async fn claim(
    State(world): State<World>,
    Path((_, call)): Path<(Digest, Digest)>,
    Json(claim): Json<CallClaim>,
) -> Json<CallGrant> {
    assert!(claim.at_most > "0".parse().unwrap());
    Json(world.told().answers.get(&call).cloned().map_or(CallGrant::Granted, CallGrant::Answered))
}

async fn settle(
    State(world): State<World>,
    Path((_, call)): Path<(Digest, Digest)>,
    Json(outcome): Json<CallOutcome>,
) -> StatusCode {
    if let CallOutcome::Answered(answer) = outcome {
        world.told().answers.insert(call, answer);
    }
    StatusCode::NO_CONTENT
}

async fn progress(State(world): State<World>, Json(progress): Json<Progress>) -> StatusCode {
    world.told().progress.push(progress.message);
    StatusCode::NO_CONTENT
}

async fn report(
    State(world): State<World>,
    Path(search): Path<Digest>,
    Json(report): Json<SynthesisReport>,
) -> StatusCode {
    assert_eq!(report.request, search);
    world.told().reports.push(report);
    StatusCode::NO_CONTENT
}

async fn chat(State(world): State<World>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let shown = headers.get(header::AUTHORIZATION).and_then(|key| key.to_str().ok()).unwrap_or_default();
    if shown != format!("Bearer {KEY}") {
        let fault = json!({"error": {"message": format!("Incorrect API key provided: {shown}")}});
        return (StatusCode::UNAUTHORIZED, Json(fault)).into_response();
    }
    world.told().asked.push(body);
    let code = "```python\ndef run(input):\n    return {'text': input['text'][::-1]}\n```";
    Json(json!({
        "choices": [{"message": {"role": "assistant", "content": code}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 200, "completion_tokens": 50},
    }))
    .into_response()
}

/// Runs the binary on a request, with this as the content of the file with the key.
async fn synth(
    world: &World,
    key: Option<&str>,
    change: impl FnOnce(&mut SynthesisRequest),
) -> (Output, String) {
    let url = world.start().await;
    for prompt in PROMPTS {
        world.add_blob(prompt.as_bytes());
    }
    let mut request = reverse();
    request.model.endpoint = format!("{url}/model/v1");
    request.model.api_key = Some(SecretKey { name: "model-keys".into(), key: "gpt".into() });
    request.model.pricing = Some(Pricing {
        input_usd_per_million_tokens: "1".parse().unwrap(),
        output_usd_per_million_tokens: "2".parse().unwrap(),
    });
    change(&mut request);
    let digest = world.add_blob(&canonical_json(&request).unwrap()).to_string();
    let dir = tempfile::tempdir().unwrap();
    let (token, file) = (dir.path().join("token"), dir.path().join("gpt"));
    fs::write(&token, "token").unwrap();
    if let Some(key) = key {
        fs::write(&file, key).unwrap();
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_dise-runner"));
    command
        .args(["synth", "--operator-url", &url, "--pod-namespace", "shop", "--request", &digest])
        .arg("--token-file")
        .arg(&token)
        .env("DISE_MODEL_KEY_FILE", &file)
        .env("DISE_LOG_FORMAT", "text")
        .env("RUST_LOG", "debug")
        .kill_on_drop(true);
    let output = command.output().await.unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(![KEY, OTHER_KEY].iter().any(|key| said.contains(key)), "{said}");
    (output, said)
}

#[tokio::test]
async fn a_search_is_carried_out_delivered_and_says_what_it_came_to() {
    let world = World::default();
    world.told().failures = 2;
    let (output, said) = synth(&world, Some(&format!("{KEY}\n")), |_| {}).await;
    assert!(output.status.success(), "{said}");
    let told = world.told();
    let [report] = &told.reports[..] else { panic!("{said}") };
    assert!(matches!(report.outcome, Outcome::Found(_)), "{report:?}");
    assert_eq!((report.spend.usd, report.spend.calls), ("0.0003".parse().unwrap(), 1));
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        line.contains("found sha256:") && line.contains("$0.0003") && line.lines().count() == 1,
        "{line}"
    );
    assert_eq!(told.asked[0]["seed"], 0);
    assert_eq!(told.answers.values().next().unwrap().input_tokens, 200);
    assert!(!serde_json::to_string(report).unwrap().contains(KEY));
}

#[tokio::test]
async fn a_key_that_is_missing_or_refused_names_its_secret_and_leaves_no_report() {
    for (key, words) in [
        (None, ["key `gpt` of Secret `model-keys` in namespace `shop`", "No such file"]),
        (Some(" \n"), ["key `gpt` of Secret `model-keys` in namespace `shop`", "empty"]),
        (Some(OTHER_KEY), ["answered 401", "check the key in the Secret"]),
    ] {
        let world = World::default();
        let (output, said) = synth(&world, key, |_| {}).await;
        assert_eq!(output.status.code(), Some(1), "{said}");
        let told = world.told();
        let last = told.progress.last().unwrap();
        for word in words {
            assert!(last.contains(word) && said.contains(word), "{last}\n{said}");
        }
        assert!(!last.contains(OTHER_KEY), "{last}");
        assert!(told.reports.is_empty());
    }
}

#[tokio::test]
async fn a_search_that_finds_nothing_succeeds_with_its_report() {
    let world = World::default();
    let (output, said) = synth(&world, Some(KEY), |request| {
        request.task.examples[0].output = json!({"text": "something else"});
    })
    .await;
    assert!(output.status.success() && said.contains("nothing passed"), "{said}");
    let told = world.told();
    let Outcome::NothingPassed { best: Some(best) } = &told.reports[0].outcome else { panic!("{said}") };
    assert_eq!((best.passed, best.failed), (3, 1));
}
