//! The key is shown to nobody, whatever a server does with it.

use dise_core::synthesis::ModelApi;
use dise_models::{ApiKey, Model};
use serde_json::{Value, json};

use crate::harness::{BOTH, KEY, Server, ask};

/// What somebody could read of an error that a server answers with the key in it.
async fn said(server: &Server, api: ModelApi, answer: Value) -> String {
    server.answer(json!([answer])).await;
    let model = server.model(api);
    let error = ask(&model).await.unwrap_err();
    format!("{error} {error:?} {:?} {model:?}", error.failure)
}

#[tokio::test]
async fn no_error_repeats_the_key() {
    let server = Server::start(json!({})).await;
    let near_the_end = format!("{}{{{{apiKey}}}}", "x".repeat(990));
    for api in BOTH {
        for answer in [
            json!({"status": 400, "message": "bad key {{apiKey}}, I said {{apiKey}}"}),
            json!({"status": 503, "message": "key={{apiKey}}", "retryAfter": 0}),
            json!({"status": 402, "message": "{{apiKey}} has no money"}),
            json!({"status": 400, "message": near_the_end}),
            json!({"body": "<p>{{apiKey}}</p>"}),
        ] {
            let said = said(&server, api, answer).await;
            assert!(said.contains("[key]"), "{said}");
            assert!(!said.contains(&KEY[..8]), "{said}");
        }
    }
}

#[tokio::test]
async fn a_refused_key_is_not_repeated_although_the_server_does() {
    for api in BOTH {
        let server = Server::answering(json!(["8"])).await;
        let wrong = "sk-wrong-0123456789";
        let model = Model::new(server.settings(api), Some(ApiKey::new(wrong).unwrap())).unwrap();
        let error = ask(&model).await.unwrap_err();
        let probe = model.probe().await;
        let said = format!("{error} {error:?} {probe:?}");
        assert!(said.contains("invalid API key: [key]") && !said.contains(wrong), "{said}");
        assert!(server.requests().await.iter().all(|request| request["key"] == "wrong"));
    }
}

#[tokio::test]
async fn no_answer_repeats_the_key() {
    for api in BOTH {
        let server = Server::answering(json!(["The key is {{apiKey}}."])).await;
        let answer = ask(&server.model(api)).await.unwrap();
        assert_eq!(answer.text, "The key is [key].");
    }
}

#[tokio::test]
async fn a_server_without_keys_is_shown_none() {
    for api in BOTH {
        let server = Server::answering(json!(["8"])).await;
        let error = ask(&Model::new(server.settings(api), None).unwrap()).await.unwrap_err();
        assert!(error.to_string().contains("answered 401 (check the key"), "{error}");
        assert_eq!(server.requests().await[0]["key"], "none");
    }
}
