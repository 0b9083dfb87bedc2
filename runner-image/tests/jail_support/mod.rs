//! What the tests of the jail share.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::function::{Function, Language, Limits};
use dise_runner::workers::{CallError, Callable, Reply, Settings, Workers};
use serde_json::{Value, json};

pub(crate) const NEIGHBOUR: &str = "def run(input):\n    return input + 1\n";

/// Fails, and does not skip, where the kernel lacks a layer of the jail.
pub(crate) fn workers_with(change: impl FnOnce(&mut Settings)) -> Arc<Workers> {
    let mut settings = Settings {
        max_workers: 8,
        max_workers_per_function: 2,
        allow_missing_landlock: false,
        ..Settings::default()
    };
    change(&mut settings);
    Workers::new(settings).expect("the jail must hold on this machine")
}

pub(crate) fn workers() -> Arc<Workers> {
    workers_with(|_| {})
}

pub(crate) fn limits() -> Limits {
    Limits { timeout_seconds: 10, ..Limits::default() }
}

pub(crate) fn python(source: &str) -> Arc<Callable> {
    Callable::new(Function { language: Language::Python, source: source.to_owned() })
}

pub(crate) fn bash(source: &str) -> Arc<Callable> {
    Callable::new(Function { language: Language::Bash, source: source.to_owned() })
}

pub(crate) async fn call_in(
    workers: &Workers,
    callable: &Arc<Callable>,
    limits: &Limits,
    input: &Value,
    time: Duration,
) -> Result<Reply, CallError> {
    let input = Bytes::from(input.to_string());
    workers.call("tenant", callable, limits, input, Instant::now() + time).await
}

pub(crate) async fn call(
    workers: &Workers,
    callable: &Arc<Callable>,
    input: &Value,
) -> Result<Value, CallError> {
    call_in(workers, callable, &limits(), input, Duration::from_secs(10)).await?.value()
}

/// Calls a function with `limits` and, as long as that takes and once more afterwards, a neighbour, which must
/// answer every time.
pub(crate) async fn hostile_with(
    source: &Arc<Callable>,
    limits: Limits,
    input: Value,
    time: Duration,
) -> Result<Value, CallError> {
    let workers = workers();
    let neighbour = python(NEIGHBOUR);
    assert_eq!(call(&workers, &neighbour, &json!(0)).await, Ok(json!(1)));
    let (theirs, callable) = (Arc::clone(&workers), Arc::clone(source));
    let hostile = tokio::spawn(async move { call_in(&theirs, &callable, &limits, &input, time).await });
    let mut number = 0;
    loop {
        let finished = hostile.is_finished();
        number += 1;
        assert_eq!(
            call(&workers, &neighbour, &json!(number)).await,
            Ok(json!(number + 1)),
            "the neighbour suffered"
        );
        if finished {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let outcome = hostile.await.expect("the call does not panic").and_then(|reply| reply.value());
    workers.shutdown().await;
    outcome
}

pub(crate) async fn hostile(source: &str) -> Result<Value, CallError> {
    hostile_with(&python(source), limits(), json!(null), Duration::from_secs(10)).await
}

/// The error of a hostile function, its reason checked, and every one of the `words` in its message.
pub(crate) async fn refused(source: &str, reason: &str, words: &[&str]) -> CallError {
    expect_error(hostile(source).await, reason, words)
}

pub(crate) fn expect_error(outcome: Result<Value, CallError>, reason: &str, words: &[&str]) -> CallError {
    let error = outcome.expect_err("it must fail");
    assert_eq!(error.reason(), reason, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` is missing in: {error}");
    }
    error
}

/// Waits until `condition` holds, for 5 s at most.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !condition() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
