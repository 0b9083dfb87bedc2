//! How the operator is found and asked.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::cluster::fake::{Log, Seen, cluster, list, refusal};

fn service(namespace: &str) -> Value {
    json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "ops", "namespace": namespace}})
}

/// A cluster with an operator in the namespace `ops`, whose API answers this.
fn with_operator(answer: (u16, String)) -> (Cluster, Log) {
    cluster(move |seen| match seen.path.as_str() {
        "/api/v1/services" => list(&[service("ops")]),
        path if path.ends_with("/token") => token(seen),
        _ => answer.clone(),
    })
}

fn token(seen: &Seen) -> (u16, String) {
    let mut answer = seen.body.clone();
    answer["status"] = json!({"token": "t0k3n", "expirationTimestamp": Time(jiff::Timestamp::UNIX_EPOCH)});
    (201, answer.to_string())
}

async fn fault(answer: (u16, String)) -> String {
    let (cluster, _) = with_operator(answer);
    cluster.post::<Value>("/v1/search", &json!({}), None).await.unwrap_err().to_string()
}

#[tokio::test]
async fn asks_through_the_api_server_with_a_short_lived_token_of_the_reader() {
    let (cluster, log) = with_operator((200, "{\"hits\": []}".into()));
    let answer: Value = cluster.post("/v1/search", &json!({"text": "slug"}), None).await.unwrap();
    assert_eq!(answer, json!({"hits": []}));
    let log = log.lock().unwrap();
    assert!(
        log[0].query.contains("labelSelector=app.kubernetes.io%2Fname%3Ddise-operator%2C"),
        "{}",
        log[0].query
    );
    assert_eq!(log[1].path, "/api/v1/namespaces/shop/serviceaccounts/dise-reader/token");
    assert_eq!(log[1].body["spec"], json!({"audiences": ["dise-operator"], "expirationSeconds": 600}));
    assert_eq!(log[2].path, "/api/v1/namespaces/ops/services/https:ops:api/proxy/v1/search");
    assert_eq!((&log[2].body, log[2].token.as_deref()), (&json!({"text": "slug"}), Some("t0k3n")));
}

#[tokio::test]
async fn expects_the_operator_where_the_chart_puts_it_when_it_may_not_look() {
    let (cluster, _) = cluster(|_| refusal(403, "Forbidden", "no", &Value::Null));
    let found = |namespace: &str| Operator { namespace: namespace.into(), service: "dise-operator".into() };
    assert_eq!(cluster.operator(None).await.unwrap(), found("dise-system"));
    assert_eq!(cluster.operator(Some("elsewhere")).await.unwrap(), found("elsewhere"));
}

#[tokio::test]
async fn asks_which_operator_is_meant() {
    let (none, _) = cluster(|_| list(&[]));
    assert!(
        none.operator(None)
            .await
            .unwrap_err()
            .to_string()
            .starts_with("there is no operator in the cluster: install")
    );
    let fault = none.operator(Some("x")).await.unwrap_err().to_string();
    assert!(fault.starts_with("there is no operator in namespace x"), "{fault}");
    let (two, _) = cluster(|_| list(&[service("a"), service("b")]));
    assert!(two.operator(None).await.unwrap_err().to_string().ends_with("--operator-namespace: a, b"));
}

#[tokio::test]
async fn says_how_a_namespace_gets_its_reader() {
    let (empty, _) = cluster(|_| refusal(404, "NotFound", "not found", &json!({"name": "dise-reader"})));
    let fault = empty.reader_token().await.unwrap_err().to_string();
    assert!(fault.starts_with("namespace shop has no ServiceAccount dise-reader"), "{fault}");
    let (refusing, _) = cluster(|_| refusal(403, "Forbidden", "no", &Value::Null));
    let fault = refusing.reader_token().await.unwrap_err().to_string();
    assert!(fault.starts_with("you may not create serviceaccounts/token in namespace shop"), "{fault}");
}

#[tokio::test]
async fn tells_the_operator_refusing_from_the_api_server_refusing() {
    let problem = |status: u16| {
        (status, json!({"title": "No", "status": status, "detail": "no such kind"}).to_string())
    };
    assert_eq!(fault(problem(400)).await, "the operator refuses (400): no such kind");
    assert_eq!(fault(problem(403)).await, "the operator refuses (403): no such kind");
    let forbidden = fault(refusal(403, "Forbidden", "User eve cannot", &json!({"name": "ops"}))).await;
    assert!(forbidden.starts_with("you may not create services/proxy in namespace ops"), "{forbidden}");
    let missing =
        fault(refusal(404, "NotFound", "services \"ops\" not found", &json!({"name": "ops"}))).await;
    assert_eq!(missing, "there is no Service ops in namespace ops; give --operator-namespace");
    assert!(fault((404, String::new())).await.contains("is older than kubectl-dise"));
    let down = fault(refusal(503, "ServiceUnavailable", "no endpoints available", &Value::Null)).await;
    assert!(down.starts_with("the operator does not answer: kubectl -n ops get pods"), "{down}");
    assert!(fault((200, "<html>".into())).await.contains("does not understand"));
}
