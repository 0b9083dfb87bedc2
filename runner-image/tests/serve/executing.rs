//! Executions that succeed, and what they leave behind.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    harness::{ECHO, Executor, check, eventually, plan, simple, step},
    operator::FakeOperator,
};

const CLEAN: &str = "def run(input):\n    return {'text': ' '.join(input['text'].lower().split())}\n";
const CLASSIFY: &str =
    "def run(input):\n    return {'label': 'positive' if 'good' in input['text'] else 'negative'}\n";
const NAP: &str = "import time\ndef run(input):\n    time.sleep(0.4)\n    return input\n";

/// Two steps, the second of which reads the first, with a check that holds and one that does not.
fn triage(operator: &FakeOperator) -> dise_core::plan::Plan {
    let mut clean = step("clean", operator.add_function(CLEAN));
    clean.input = json!({"text": "${input.text}"});
    let mut classify = step("classify", operator.add_function(CLASSIFY));
    classify.depends_on = vec!["clean".into()];
    classify.input = json!({"text": "${steps.clean.text}"});
    classify.output = json!({"type": "object", "required": ["label"], "properties": {
        "label": {"enum": ["positive", "negative"]}}});
    classify.checks = vec![
        check("known", "output.label in ['positive', 'negative']"),
        check("long", "size(input.text) > 100"),
        check("broken", "output.nothing == 1"),
        check("short", "size(input.text) < 100"),
    ];
    let mut plan = plan("triage", vec![clean, classify]);
    plan.input = json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}});
    plan.result = json!({"sentiment": "${steps.classify.label}"});
    plan
}

#[tokio::test]
async fn a_chain_of_steps_is_executed_and_measured() {
    let operator = FakeOperator::default();
    let plan = triage(&operator);
    operator.publish(std::slice::from_ref(&plan));
    let executor = Executor::start(&operator, &[]).await;

    let (status, result) = executor.run("triage", &json!({"text": "  A GOOD   thing"})).await;

    assert_eq!(status, 200, "{result}");
    assert_eq!(result["output"], json!({"sentiment": "positive"}));
    assert_eq!(result["plan"], plan.digest().unwrap().to_string());
    assert_eq!(result["quality"], "0.5");
    assert_eq!(result["costUsd"], "0");
    assert!(result["latencyMs"].as_f64().unwrap() > 0.0);
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.iter().map(|step| &step["name"]).collect::<Vec<_>>(), ["clean", "classify"]);
    assert_eq!((&steps[1]["checksPassed"], &steps[1]["checksTotal"]), (&json!(2), &json!(4)));
    assert_eq!(steps[1]["artifact"], "classify-1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn independent_steps_run_at_the_same_time() {
    let operator = FakeOperator::default();
    let nap = operator.add_function(NAP);
    let other = operator.add_function(&format!("# other\n{NAP}"));
    let mut join = step("join", operator.add_function(ECHO));
    join.depends_on = vec!["left".into(), "right".into()];
    join.input = json!({"l": "${steps.left}", "r": "${steps.right}"});
    operator.publish(&[plan("naps", vec![step("left", nap), step("right", other), join])]);
    let executor = Executor::start(&operator, &[]).await;
    executor.run("naps", &json!(0)).await;

    let began = Instant::now();
    let (status, result) = executor.run("naps", &json!(7)).await;

    assert_eq!((status, &result["output"]), (200, &json!({"l": 7, "r": 7})));
    assert!(began.elapsed() < Duration::from_millis(780), "{:?}", began.elapsed());
}

#[tokio::test]
async fn executions_show_in_the_metrics_and_in_the_usage() {
    let operator = FakeOperator::default();
    operator.publish(&[triage(&operator), simple(&operator, "idle", ECHO)]);
    let mut executor = Executor::start(&operator, &[]).await;
    for _ in 0..3 {
        executor.run("triage", &json!({"text": "bad"})).await;
    }
    executor.run("triage", &json!({"text": 1})).await;

    let metrics = executor.text("/metrics").await;
    for line in [
        r#"dise_executions_total{namespace="shop",outcome="Succeeded",workflow="triage"} 3"#,
        r#"dise_execution_seconds_count{namespace="shop",workflow="triage"} 3"#,
        r#"dise_step_executions_total{generation="1",namespace="shop",option="code",outcome="Succeeded",step="clean",workflow="triage"} 3"#,
        r#"dise_step_quality_sum{generation="1",namespace="shop",option="code",step="classify",workflow="triage"} 1.5"#,
        r#"dise_step_quality_count{generation="1",namespace="shop",option="code",step="classify",workflow="triage"} 3"#,
        r#"dise_rejections_total{namespace="shop",reason="InvalidInput",workflow="triage"} 1"#,
        "dise_workers 2",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line} is not in\n{metrics}");
    }

    executor.end().await;
    let usage = operator.script().usage.clone();
    assert_eq!(usage.len(), 1, "{usage:?}");
    let report = usage.values().next().unwrap();
    assert_eq!(report.pod, "dise-executor-1-x");
    assert_eq!(report.workflows.keys().collect::<Vec<_>>(), ["triage"]);
    let triage = &report.workflows["triage"];
    assert_eq!((triage.executions, triage.failures, triage.quality_samples), (3, 0, 3));
    assert!((triage.quality_sum - 1.5).abs() < 1e-9);
    assert_eq!(triage.artifacts["clean-1"].uses, 3);
}

#[tokio::test]
async fn usage_is_reported_while_serving_and_survives_a_refusal() {
    let operator = FakeOperator::default();
    operator.publish(&[simple(&operator, "echo", ECHO)]);
    let executor = Executor::start(&operator, &["--usage-seconds", "1"]).await;
    executor.run("echo", &json!(1)).await;
    operator.script().failures = (1, 503);
    eventually("reported", async || {
        let script = operator.script();
        script.usage.values().any(|report| report.workflows["echo"].executions == 1)
    })
    .await;
}

#[tokio::test]
async fn the_served_workflows_are_described() {
    let operator = FakeOperator::default();
    operator.publish(&[triage(&operator)]);
    let executor = Executor::start(&operator, &[]).await;

    let document: serde_json::Value = executor.get("/openapi.json").await.json().await.unwrap();

    assert_eq!(document["openapi"], "3.1.0");
    let post = &document["paths"]["/v1/workflows/triage/run"]["post"];
    let content = |it: &serde_json::Value, media: &str| it["content"][media]["schema"].clone();
    let request = content(&post["requestBody"], "application/json");
    assert_eq!(request["properties"]["input"]["required"], json!(["text"]));
    let ok = content(&post["responses"]["200"], "application/json");
    let sentiment = &ok["properties"]["output"]["properties"]["sentiment"];
    assert_eq!(sentiment, &json!({"enum": ["positive", "negative"]}));
    for status in ["400", "409", "413", "429", "502", "503", "504"] {
        assert_ne!(content(&post["responses"][status], "application/problem+json"), json!(null), "{status}");
    }
}
