//! Servers that answer wrongly, late or not at all.

use std::time::Duration;

use dise_models::{ChatModel as _, Failure, Settings, UsageSource};
use serde_json::{Value, json};

use crate::harness::{BOTH, Server, ask, model, question, usd};

#[tokio::test]
async fn no_wrong_usage_makes_a_call_cheaper() {
    let server = Server::start(json!({})).await;
    for api in BOTH {
        for (wrong, source) in [
            ("missing", UsageSource::Missing),
            ("negative", UsageSource::Implausible),
            ("huge", UsageSource::Implausible),
            ("zero", UsageSource::Implausible),
            ("text", UsageSource::Implausible),
        ] {
            server.answer(json!([{"text": "Eight.", "wrongUsage": wrong}])).await;
            let model = server.model(api);
            let answer = ask(&model).await.unwrap();
            assert_eq!(answer.usage.source, source, "{wrong}");
            assert_eq!(answer.cost, model.upper_bound(&question()), "{wrong}");
            assert!(answer.cost > usd("0"));
            let free = ask(&server.free_model(api)).await.unwrap();
            assert_eq!((free.cost, free.usage.source), (usd("0"), source), "{wrong}");
        }
    }
}

/// Asks a priced model, which must fail without being asked again and leave open whether it was paid.
async fn fails_and_may_be_charged(answer: Value, fits: fn(&Failure) -> bool) {
    let server = Server::start(json!({})).await;
    for api in BOTH {
        server.answer(json!([answer, "second"])).await;
        let settings = Settings { timeout: Duration::from_secs(2), ..server.settings(api) };
        let error = ask(&model(settings)).await.unwrap_err();
        assert!(fits(&error.failure), "{error}");
        assert!(error.maybe_charged && error.to_string().contains("may have been charged"), "{error}");
        assert_eq!((error.requests, server.requests().await.len()), (1, 1), "{error}");
    }
}

#[tokio::test]
async fn a_document_that_is_cut_off_is_unusable() {
    fails_and_may_be_charged(
        json!({"text": "Eight.", "malformedJson": true}),
        |failure| matches!(failure, Failure::Malformed { fault } if fault.contains("not JSON")),
    )
    .await;
}

#[tokio::test]
async fn a_page_of_the_web_is_unusable_and_shown() {
    fails_and_may_be_charged(
        json!({"body": "<!doctype html><title>Welcome</title>"}),
        |failure| matches!(failure, Failure::Malformed { fault } if fault.contains("<!doctype html>")),
    )
    .await;
}

#[tokio::test]
async fn a_document_without_an_answer_is_unusable() {
    fails_and_may_be_charged(
        json!({"body": "{\"object\": \"list\"}"}),
        |failure| matches!(failure, Failure::Malformed { fault } if fault.contains("has no")),
    )
    .await;
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    fails_and_may_be_charged(
        json!({"text": "x".repeat(1 << 10), "repeat": 9 << 10}),
        |failure| matches!(failure, Failure::Malformed { fault } if fault.contains("longer than 8 MiB")),
    )
    .await;
}

#[tokio::test]
async fn a_server_that_hangs_is_left_when_time_is_up() {
    fails_and_may_be_charged(json!({"hang": true}), |failure| matches!(failure, Failure::TimedOut { .. }))
        .await;
}

#[tokio::test]
async fn a_slow_server_is_left_when_time_is_up() {
    fails_and_may_be_charged(json!({"text": "Eight.", "delaySeconds": 60}), |failure| {
        matches!(failure, Failure::TimedOut { .. })
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_is_closed_leaves_the_bill_open() {
    for when in [json!(true), json!("midway")] {
        fails_and_may_be_charged(json!({"closeConnection": when}), |failure| {
            matches!(failure, Failure::Interrupted { .. })
        })
        .await;
    }
}

#[tokio::test]
async fn a_slow_server_is_waited_for_while_there_is_time() {
    for api in BOTH {
        let server = Server::answering(json!([{"text": "Eight.", "delaySeconds": 0.2}])).await;
        let answer = ask(&server.model(api)).await.unwrap();
        assert!(answer.latency >= Duration::from_millis(200));
    }
}

#[tokio::test]
async fn a_free_model_is_asked_again_when_the_connection_breaks() {
    for api in BOTH {
        let server =
            Server::answering(json!([{"closeConnection": true}, {"closeConnection": "midway"}, "Eight."]))
                .await;
        let answer = ask(&server.free_model(api)).await.unwrap();
        assert_eq!((answer.text.as_str(), answer.requests), ("Eight.", 3));
    }
}

#[tokio::test]
async fn a_free_model_leaves_no_bill_open() {
    for api in BOTH {
        let server = Server::answering(json!([{"malformedJson": true}])).await;
        let error = ask(&server.free_model(api)).await.unwrap_err();
        assert!(!error.maybe_charged && !error.to_string().contains("charged"), "{error}");
    }
}
