//! Whether a model could be asked.

use dise_core::synthesis::ModelApi;
use dise_models::{ApiKey, Model, Settings, Verdict};
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, install_provider, model, nowhere, settings};

async fn probe(script: Value, api: ModelApi, name: &str) -> (Verdict, String) {
    let server = Server::start(script).await;
    let probe = model(Settings { model: name.into(), ..server.settings(api) }).probe().await;
    // Nothing that costs anything was asked, and only once.
    let requests = server.requests().await;
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0]["method"], "GET");
    assert!(requests[0]["path"].as_str().unwrap().starts_with("/v1/models"));
    (probe.verdict, probe.message)
}

#[tokio::test]
async fn finds_a_model_that_the_server_has() {
    for api in BOTH {
        for name in ["scripted", "org/coder:7b"] {
            let script = json!({"models": ["scripted", "org/coder:7b"]});
            let (verdict, message) = probe(script, api, name).await;
            assert_eq!((verdict, verdict.is_ready()), (Verdict::ModelFound, true), "{message}");
            assert!(message.contains(&format!("has the model `{name}`")), "{message}");
        }
    }
}

#[tokio::test]
async fn names_a_model_that_the_server_has_not() {
    for api in BOTH {
        let (verdict, message) = probe(json!({"models": ["other"]}), api, "scripted").await;
        assert_eq!((verdict, verdict.is_ready()), (Verdict::ModelNotFound, false), "{message}");
        assert!(message.contains("has no model `scripted`"), "{message}");
    }
}

#[tokio::test]
async fn a_server_that_lists_nothing_is_ready_with_a_reservation() {
    for api in BOTH {
        let (verdict, message) = probe(json!({"models": null}), api, "scripted").await;
        assert_eq!((verdict, verdict.is_ready()), (Verdict::ServerAnswers, true), "{message}");
        assert!(message.contains("the first call will show"), "{message}");
    }
}

#[tokio::test]
async fn a_server_in_trouble_is_not_ready() {
    for api in BOTH {
        for answer in [json!({"status": 503}), json!({"body": "<html>"}), json!({"closeConnection": true})] {
            let script = json!({"rules": [{"endpoint": "models", "answers": [answer]}]});
            let (verdict, message) = probe(script, api, "scripted").await;
            assert_eq!((verdict, verdict.is_ready()), (Verdict::ProbeFailed, false), "{message}");
        }
    }
}

#[tokio::test]
async fn a_wrong_key_is_named_as_the_cause() {
    for api in BOTH {
        let server = Server::start(json!({})).await;
        let model = Model::new(server.settings(api), Some(ApiKey::new("sk-wrong").unwrap())).unwrap();
        let probe = model.probe().await;
        assert_eq!((probe.verdict, probe.verdict.reason()), (Verdict::KeyRefused, "KeyRefused"));
        assert!(probe.message.contains("check the key"), "{}", probe.message);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_as_the_cause() {
    install_provider();
    for api in BOTH {
        let probe = model(settings(api, &nowhere())).probe().await;
        assert_eq!(probe.verdict, Verdict::Unreachable, "{}", probe.message);
        assert!(probe.message.contains("127.0.0.1"), "{}", probe.message);
    }
}
