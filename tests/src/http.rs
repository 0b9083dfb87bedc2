//! Requests to workflows: through the API server, which works on every cluster, or straight to the Service.

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::{Value, json};

use crate::Namespace;

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Namespace {
    /// Runs a workflow through the API server's proxy of its Service.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn run(&self, workflow: &str, input: &Value) -> Answer {
        let path = format!(
            "/api/v1/namespaces/{}/services/{workflow}:http/proxy/v1/workflows/{workflow}/run",
            self.name
        );
        let body = serde_json::to_vec(&json!({"input": input})).unwrap();
        let request = post(&path, body);
        match self.client.request_text(request).await {
            Ok(text) => Answer { status: 200, body: serde_json::from_str(&text).unwrap() },
            Err(kube::Error::Api(status)) => Answer {
                status: status.code,
                body: serde_json::from_str(&status.message).unwrap_or_default(),
            },
            Err(fault) => panic!("no answer of {workflow}: {fault}"),
        }
    }

    /// The address of a workflow's Service, reachable where this machine is a node of the cluster.
    ///
    /// # Panics
    /// The Service does not exist.
    pub async fn address(&self, workflow: &str) -> String {
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.name);
        let service = services.get(workflow).await.unwrap();
        format!("http://{}", service.spec.unwrap().cluster_ip.unwrap())
    }
}

fn post(path: &str, body: Vec<u8>) -> http::Request<Vec<u8>> {
    http::Request::post(path).header("content-type", "application/json").body(body).unwrap()
}
