//! Which workflow a Host header leads to.

use serde_json::{Value, json};

use crate::{
    harness::{Executor, simple},
    operator::FakeOperator,
};

fn named(operator: &FakeOperator, name: &str) -> dise_core::plan::Plan {
    simple(operator, name, &format!("def run(input):\n    return '{name}'\n"))
}

async fn routed(executor: &Executor, host: &str) -> (u16, Value) {
    let request = executor.client.post(format!("{}/v1/run", executor.url)).header("host", host);
    let response = request.body(r#"{"input": {}}"#).send().await.unwrap();
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap();
    (status, if status == 200 { body["output"].clone() } else { body })
}

#[tokio::test]
async fn the_first_label_of_the_host_names_the_workflow() {
    let operator = FakeOperator::default();
    operator.publish(&[named(&operator, "review-triage"), named(&operator, "translate")]);
    let executor = Executor::start(&operator, &[]).await;

    for (host, workflow) in [
        ("review-triage", "review-triage"),
        ("review-triage:8080", "review-triage"),
        ("Review-Triage.shop", "review-triage"),
        ("translate.shop.svc.cluster.local:80", "translate"),
        ("translate.example.com", "translate"),
    ] {
        assert_eq!(routed(&executor, host).await, (200, json!(workflow)), "{host}");
    }
    for host in ["localhost:8080", "10.0.0.7", "[::1]:8080", "dise-executor", "other.shop.svc", ""] {
        let (status, problem) = routed(&executor, host).await;
        assert_eq!((status, &problem["reason"]), (404, &json!("UnknownWorkflow")), "{host}");
        let detail = problem["detail"].as_str().unwrap();
        for hint in ["`review-triage`, `translate`", "/v1/workflows/{name}/run", "Host"] {
            assert!(detail.contains(hint), "{detail}");
        }
    }
}

#[tokio::test]
async fn the_only_workflow_answers_everything_but_the_name_of_another_service() {
    let operator = FakeOperator::default();
    operator.publish(&[named(&operator, "translate")]);
    let executor = Executor::start(&operator, &[]).await;

    for host in ["localhost:8080", "10.0.0.7:8080", "api.example.com", "dise-executor.shop.svc", "translate"]
    {
        assert_eq!(routed(&executor, host).await, (200, json!("translate")), "{host}");
    }
    for host in ["review-triage", "review-triage.shop", "review-triage.shop.svc.cluster.local"] {
        assert_eq!(routed(&executor, host).await.0, 404, "{host}");
    }
}

#[tokio::test]
async fn an_unknown_name_in_the_path_is_told_what_there_is() {
    let operator = FakeOperator::default();
    operator.publish(&[named(&operator, "translate")]);
    let executor = Executor::start(&operator, &[]).await;
    let (status, problem) = executor.run("transalte", &json!({})).await;
    assert_eq!(status, 404);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("`transalte`") && detail.contains("`translate`"), "{detail}");
}
