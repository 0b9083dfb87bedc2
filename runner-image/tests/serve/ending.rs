//! The end of an executor.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{
    harness::{ECHO, Executor, eventually, simple},
    operator::FakeOperator,
};

const SLEEP: &str = "import time\ndef run(input):\n    time.sleep(input)\n    return input\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_serves_on_and_finishes_what_is_in_flight() {
    let operator = FakeOperator::default();
    operator.publish(&[simple(&operator, "sleep", SLEEP), simple(&operator, "echo", ECHO)]);
    let mut executor = Executor::start(&operator, &["--drain-seconds", "1"]).await;
    executor.run("sleep", &json!(0)).await;
    let slow = tokio::spawn({
        let request = executor.client.post(format!("{}/v1/workflows/sleep/run", executor.url));
        async move { request.body(r#"{"input": 1.8}"#).send().await.unwrap().json::<Value>().await.unwrap() }
    });
    sleep(Duration::from_millis(100)).await;

    executor.stop.cancel();

    eventually("draining", async || executor.get("/readyz").await.status() == 503).await;
    assert_eq!(executor.get("/healthz").await.status(), 200);
    assert_eq!(executor.run("echo", &json!(1)).await.0, 200);
    assert_eq!(slow.await.unwrap()["output"], 1.8);
    executor.end().await;
    let refused = executor.client.get(format!("{}/healthz", executor.url)).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
    let usage = operator.script().usage.values().next().unwrap().clone();
    assert_eq!(usage.workflows["sleep"].executions, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_end_in_time_is_given_up() {
    let operator = FakeOperator::default();
    operator.publish(&[simple(&operator, "sleep", SLEEP)]);
    let mut executor = Executor::start(&operator, &["--termination-seconds", "5"]).await;
    executor.run("sleep", &json!(0)).await;
    let slow = tokio::spawn({
        let request = executor.client.post(format!("{}/v1/workflows/sleep/run", executor.url));
        request.body(r#"{"input": 25}"#).send()
    });
    sleep(Duration::from_millis(100)).await;

    let began = std::time::Instant::now();
    executor.end().await;

    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    assert!(slow.await.unwrap().is_err());
}
