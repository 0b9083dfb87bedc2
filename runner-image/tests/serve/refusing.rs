//! Every kind of problem document.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{body::Body, http::Request, response::IntoResponse as _};
use dise_core::{digest::Digest, plan::Plan};
use dise_runner::{
    metrics::Metrics,
    serve::{App, Settings, catalog::Catalog, host::Home},
    workers::{self, Workers},
};
use serde_json::{Value, json};

use crate::{
    harness::{ECHO, Executor, eventually, plan, simple, step},
    operator::FakeOperator,
};

const RAISE: &str =
    "def run(input):\n    secret = 'hunter2'\n    print(secret)\n    raise ValueError('no such thing')\n";
const SLEEP: &str = "import time\ndef run(input):\n    time.sleep(input)\n    return input\n";

async fn executor(plans: impl FnOnce(&FakeOperator) -> Vec<Plan>, args: &[&str]) -> Executor {
    let operator = FakeOperator::default();
    let plans = plans(&operator);
    operator.publish(&plans);
    Executor::start(&operator, args).await
}

fn assert_problem(problem: &Value, status: u16, reason: &str) {
    assert_eq!(problem["status"], status, "{problem}");
    assert_eq!(problem["reason"], reason, "{problem}");
    assert_eq!(problem["type"], format!("urn:dise:problem:{reason}"));
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
}

#[tokio::test]
async fn a_body_that_is_no_request_is_explained() {
    let executor =
        executor(|operator| vec![simple(operator, "echo", ECHO)], &["--max-body-bytes", "100"]).await;
    let run = "/v1/workflows/echo/run";
    for (body, word) in [
        ("{\"input\": 1,\n \"pressure\": 2}", "unknown field `pressure`"),
        ("{\n \"input\": }", "line 2 column 11"),
        ("[]", "not a request"),
        ("{}", "missing field `input`"),
    ] {
        let (status, problem) = executor.post(run, body).await;
        assert_problem(&problem, 400, "InvalidRequest");
        assert!(status == 400 && problem["detail"].as_str().unwrap().contains(word), "{problem}");
    }

    let (status, problem) = executor.post(run, format!("{{\"input\": \"{}\"}}", "x".repeat(200))).await;
    assert_eq!(status, 413);
    assert_problem(&problem, 413, "TooLarge");
}

#[tokio::test]
async fn an_input_that_does_not_fit_is_pointed_at() {
    let executor = executor(
        |operator| {
            let mut plan = simple(operator, "typed", ECHO);
            plan.input = json!({"properties": {"items": {"items": {"type": "integer"}}}});
            vec![plan]
        },
        &[],
    )
    .await;

    let response = executor
        .client
        .post(format!("{}/v1/workflows/typed/run", executor.url))
        .body(json!({"input": {"items": [1, "x"]}}).to_string())
        .send()
        .await
        .unwrap();

    assert_eq!(response.headers()["content-type"], "application/problem+json");
    let problem: Value = response.json().await.unwrap();
    assert_problem(&problem, 400, "InvalidInput");
    assert_eq!(problem["pointer"], "/items/1");
}

#[tokio::test]
async fn a_function_that_raises_is_a_bad_gateway_without_its_source() {
    let executor = executor(|operator| vec![simple(operator, "raise", RAISE)], &[]).await;

    let (status, problem) = executor.run("raise", &json!({})).await;

    assert_eq!(status, 502);
    assert_problem(&problem, 502, "Raised");
    assert_eq!(problem["step"], "only");
    assert!(problem["instance"].as_str().unwrap().starts_with("urn:uuid:"));
    assert!(problem["detail"].as_str().unwrap().contains("ValueError: no such thing"), "{problem}");
    assert!(!problem.to_string().contains("hunter2"), "{problem}");
    let metrics = executor.text("/metrics").await;
    assert!(
        metrics.contains(r#"dise_executions_total{namespace="shop",outcome="Raised",workflow="raise"} 1"#)
    );
}

#[tokio::test]
async fn an_output_that_breaks_the_schema_and_an_expression_that_fails_name_the_step() {
    let executor = executor(
        |operator| {
            let mut typed = step("typed", operator.add_function(ECHO));
            typed.output = json!({"properties": {"n": {"type": "integer"}}});
            let mut next = step("next", operator.add_function(ECHO));
            next.depends_on = vec!["typed".into()];
            next.input = json!("${steps.typed.missing}");
            vec![plan("typed", vec![typed, next])]
        },
        &[],
    )
    .await;

    let (status, problem) = executor.run("typed", &json!({"n": "x"})).await;
    assert_eq!((status, &problem["step"], &problem["pointer"]), (502, &json!("typed"), &json!("/n")));
    assert_problem(&problem, 502, "OutputInvalid");

    let (_, problem) = executor.run("typed", &json!({"n": 1})).await;
    assert_problem(&problem, 502, "ExpressionFailed");
    assert_eq!(problem["step"], "next");
}

#[tokio::test]
async fn time_that_is_up_is_a_gateway_timeout() {
    let executor = executor(
        |operator| {
            let mut plan = simple(operator, "sleep", SLEEP);
            plan.steps[0].limits.timeout_seconds = 1;
            vec![plan]
        },
        &[],
    )
    .await;

    let began = Instant::now();
    let body = json!({"input": 20, "deadlineMs": 300}).to_string();
    let (status, problem) = executor.post("/v1/workflows/sleep/run", body).await;
    assert_eq!((status, &problem["step"]), (504, &json!("only")));
    assert_problem(&problem, 504, "DeadlineExceeded");
    assert!(problem["detail"].as_str().unwrap().contains("of the request"), "{problem}");
    assert!(began.elapsed() < Duration::from_millis(900), "{:?}", began.elapsed());

    let (_, problem) = executor.run("sleep", &json!(20)).await;
    assert_problem(&problem, 504, "DeadlineExceeded");
    assert!(problem["detail"].as_str().unwrap().contains("timeoutSeconds"), "{problem}");
}

#[tokio::test]
async fn a_workflow_without_a_usable_plan_is_a_conflict_that_says_why() {
    let executor = executor(
        |operator| {
            let mut plan = simple(operator, "future", ECHO);
            plan.format = 99;
            vec![plan]
        },
        &[],
    )
    .await;

    let (status, problem) = executor.run("future", &json!({})).await;

    assert_eq!(status, 409);
    assert_problem(&problem, 409, "PlanNotReady");
    assert!(problem["detail"].as_str().unwrap().contains("format 99"), "{problem}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_exceeds_running_and_waiting_is_shed_at_once() {
    let args = ["--max-concurrency", "1", "--max-queue", "1"];
    let executor = executor(|operator| vec![simple(operator, "sleep", SLEEP)], &args).await;
    executor.run("sleep", &json!(0)).await;

    let answers = futures::future::join_all((0..6).map(|_| async {
        let began = Instant::now();
        let request = executor.client.post(format!("{}/v1/workflows/sleep/run", executor.url));
        let response = request.body(r#"{"input": 1.5}"#).send().await.unwrap();
        (began.elapsed(), response)
    }))
    .await;

    let (served, shed): (Vec<_>, Vec<_>) =
        answers.into_iter().partition(|(_, response)| response.status() == 200);
    assert_eq!((served.len(), shed.len()), (2, 4));
    for (elapsed, response) in shed {
        assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
        assert_eq!(response.headers()["retry-after"], "1");
        assert_problem(&response.json().await.unwrap(), 429, "Overloaded");
    }
    let rejected = r#"dise_rejections_total{namespace="shop",reason="Overloaded",workflow="sleep"} 4"#;
    assert!(executor.text("/metrics").await.contains(rejected));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_execution_whose_caller_went_away_is_counted_as_cancelled() {
    let executor = executor(|operator| vec![simple(operator, "sleep", SLEEP)], &[]).await;
    executor.run("sleep", &json!(0)).await;
    let request = executor.client.post(format!("{}/v1/workflows/sleep/run", executor.url));
    let request = request.body(r#"{"input": 2}"#).timeout(Duration::from_millis(300));
    assert!(request.send().await.unwrap_err().is_timeout());
    let line = r#"dise_executions_total{namespace="shop",outcome="Cancelled",workflow="sleep"} 1"#;
    eventually("cancelled", async || executor.text("/metrics").await.contains(line)).await;
}

#[tokio::test]
async fn a_closed_executor_takes_nothing_more() {
    let metrics = Arc::new(Metrics::new("shop").unwrap());
    let workers = Workers::new(workers::Settings::default()).unwrap();
    let catalog = Arc::new(Catalog::new(Arc::clone(&metrics)));
    catalog.expect(&[("flow".to_owned(), Digest::of(b"plan"))].into());
    let app = App::new(catalog, metrics, workers, Home::default(), &Settings::default());
    let (_, entry) = app.route("flow").unwrap();
    let run = async || app.run("flow", &entry, Request::new(Body::from("{}"))).await.unwrap_err();
    assert_eq!(run().await.status, 409);

    app.close();

    let answer = run().await.into_response();
    assert_eq!((answer.status().as_u16(), &answer.headers()["connection"]), (503, &"close".parse().unwrap()));
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist_are_problems_too() {
    let executor = executor(|operator| vec![simple(operator, "echo", ECHO)], &[]).await;
    let (status, problem) = executor.post("/v2/run", "{}").await;
    assert_eq!(status, 404);
    assert_problem(&problem, 404, "UnknownPath");
    let problem: Value = executor.get("/v1/run").await.json().await.unwrap();
    assert_problem(&problem, 405, "WrongMethod");
}
