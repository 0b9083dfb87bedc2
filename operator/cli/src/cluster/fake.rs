//! An API server that answers from a table.

use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::service_fn;

use super::Cluster;

/// A request that arrived: method, path with query, and body.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Value,
    /// What the operator is shown.
    pub(crate) token: Option<String>,
}

/// What arrived so far.
pub(crate) type Log = Arc<Mutex<Vec<Seen>>>;

/// A cluster, namespace `shop`, whose API server answers with status and text.
pub(crate) fn cluster(answer: impl Fn(&Seen) -> (u16, String) + Send + Sync + 'static) -> (Cluster, Log) {
    let log = Log::default();
    let seen = Arc::clone(&log);
    let answer = Arc::new(answer);
    let service = service_fn(move |request: Request<Body>| {
        let (answer, log) = (Arc::clone(&answer), Arc::clone(&seen));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect_bytes().await.unwrap();
            let seen = Seen {
                method: head.method.to_string(),
                path: head.uri.path().to_owned(),
                query: head.uri.query().unwrap_or_default().to_owned(),
                body: serde_json::from_slice(&body).unwrap_or_default(),
                token: head.headers.get("x-dise-token").map(|value| value.to_str().unwrap().to_owned()),
            };
            let (status, text) = answer(&seen);
            log.lock().unwrap().push(seen);
            Ok::<_, std::convert::Infallible>(
                Response::builder().status(status).body(Body::from(text.into_bytes())).unwrap(),
            )
        }
    });
    (Cluster { client: Client::new(service, "shop"), namespace: "shop".into() }, log)
}

/// A refusal as the API server writes it.
pub(crate) fn refusal(code: u16, reason: &str, message: &str, details: &Value) -> (u16, String) {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message, "details": details,
    });
    (code, status.to_string())
}

/// A list of objects.
pub(crate) fn list(items: &[Value]) -> (u16, String) {
    (
        200,
        json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items})
            .to_string(),
    )
}
