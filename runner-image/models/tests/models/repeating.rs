//! When a request is sent again, and when not.

use std::time::Duration;

use dise_core::synthesis::ModelApi;
use dise_models::{Failure, ModelError};
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, ask, install_provider, model, nowhere, settings};

/// Asks a priced model that fails each time; gives the error and how many requests reached the server.
async fn failing(server: &Server, api: ModelApi, answer: Value) -> (ModelError, usize) {
    server.answer(json!([answer])).await;
    let error = ask(&server.model(api)).await.unwrap_err();
    (error, server.requests().await.len())
}

#[tokio::test]
async fn asks_again_after_failures_that_pass() {
    let server = Server::start(json!({})).await;
    for (api, status) in BOTH.into_iter().flat_map(|api| [429, 500, 503, 529].map(|status| (api, status))) {
        server.answer(json!([{"status": status, "retryAfter": 0}, "Eight."])).await;
        let answer = ask(&server.model(api)).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.requests), ("Eight.", 2), "{status}");
    }
}

#[tokio::test]
async fn gives_up_after_the_last_attempt_and_was_charged_nothing() {
    let server = Server::start(json!({})).await;
    let overloaded = json!({"status": 529, "message": "Overloaded"});
    let (error, requests) = failing(&server, ModelApi::Anthropic, overloaded).await;
    assert_eq!((error.requests, requests), (3, 3));
    assert!(!error.maybe_charged && error.is_transient());
    let message = error.to_string();
    assert!(message.contains("answered 529: Overloaded (after 3 requests)"), "{message}");
}

#[tokio::test]
async fn asks_a_gateway_again_only_when_that_costs_nothing() {
    let server = Server::start(json!({})).await;
    for (api, status) in BOTH.into_iter().flat_map(|api| [502, 504].map(|status| (api, status))) {
        let (error, requests) = failing(&server, api, json!({"status": status})).await;
        assert_eq!((requests, error.maybe_charged, error.is_transient()), (1, true, true), "{status}");

        server.answer(json!([{"status": status}, "Eight."])).await;
        assert_eq!(ask(&server.free_model(api)).await.unwrap().requests, 2, "{status}");
    }
}

#[tokio::test]
async fn never_repeats_what_will_fail_again() {
    let server = Server::start(json!({})).await;
    let cases = [(400, "scripted status"), (401, "check the key"), (403, "check the key"), (404, "/v1")];
    for (api, (status, word)) in BOTH.into_iter().flat_map(|api| cases.map(|case| (api, case))) {
        let (error, requests) = failing(&server, api, json!({"status": status})).await;
        assert_eq!((requests, error.maybe_charged, error.is_transient()), (1, false, false), "{status}");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn an_account_without_money_is_not_asked_again() {
    let server = Server::start(json!({})).await;
    let message = "You exceeded your current quota: insufficient_quota";
    for (api, status) in BOTH.into_iter().flat_map(|api| [402, 429].map(|status| (api, status))) {
        let (error, requests) = failing(&server, api, json!({"status": status, "message": message})).await;
        assert!(matches!(error.failure, Failure::OutOfCredit { .. }), "{error}");
        assert_eq!((requests, error.maybe_charged), (1, false));
    }
}

#[tokio::test]
async fn does_not_wait_longer_than_is_sensible() {
    let server = Server::start(json!({})).await;
    let answer = json!({"status": 429, "retryAfter": 3600});
    let (error, requests) = failing(&server, ModelApi::OpenAI, answer).await;
    let asked = Failure::Status {
        status: 429,
        message: "scripted status 429".into(),
        retry_after: Some(Duration::from_hours(1)),
    };
    assert_eq!((requests, &error.failure), (1, &asked));
    assert!(error.to_string().contains("asks to wait 3600 s"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_charges_nothing() {
    install_provider();
    for api in BOTH {
        let error = ask(&model(settings(api, &nowhere()))).await.unwrap_err();
        assert!(matches!(error.failure, Failure::Unreachable { .. }), "{error}");
        assert_eq!((error.requests, error.maybe_charged), (3, false));
        assert!(error.to_string().contains("cannot connect"), "{error}");
    }
}

#[tokio::test]
async fn follows_no_redirection() {
    let server = Server::start(json!({})).await;
    let other = Server::answering(json!(["8"])).await;
    for (api, status) in BOTH.into_iter().flat_map(|api| [301, 302, 307, 308].map(|status| (api, status))) {
        let elsewhere = json!({"Location": format!("{}/v1/chat/completions", other.url)});
        let (error, requests) = failing(&server, api, json!({"status": status, "headers": elsewhere})).await;
        assert_eq!(requests, 1);
        assert!(error.to_string().contains("final address"), "{error}");
    }
    assert_eq!(other.requests().await.len(), 0);
}
