//! The operator's own API as runner pods call it, with tokens of the test's choice.

use std::net::SocketAddr;

use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Service, ServiceAccount},
};
use kube::{Api, api::PostParams};
use reqwest::{Certificate, Client, Method};
use serde_json::Value;

use crate::{Namespace, SYSTEM, http::Answer};

/// The audience of the tokens that the operator accepts.
pub const AUDIENCE: &str = "dise-operator";
/// The service account of runner pods.
pub const RUNNER: &str = "dise-runner";
/// The service account that people search with.
pub const READER: &str = "dise-reader";
const SERVICE: &str = "dise-operator";

/// A client of the operator's API. This machine must be a node of the cluster.
#[derive(Clone, Debug)]
pub struct Operator {
    client: Client,
    url: String,
}

impl Operator {
    /// A client that trusts what `pod` is told to trust, at the place that it is told of.
    ///
    /// # Panics
    /// The pod is none of a runner, or there is no operator.
    pub async fn of(space: &Namespace, pod: &Value) -> Self {
        let ca = Certificate::from_pem_bundle(env(pod, "DISE_OPERATOR_CA").as_bytes()).unwrap();
        Self::trusting(space, pod, ca).await
    }

    /// A client that trusts these certificates alone.
    ///
    /// # Panics
    /// There is no operator.
    pub async fn trusting(space: &Namespace, pod: &Value, ca: Vec<Certificate>) -> Self {
        let url = env(pod, "DISE_OPERATOR_URL").to_owned();
        let services: Api<Service> = Api::namespaced(space.client.clone(), SYSTEM);
        let address = services.get(SERVICE).await.unwrap().spec.unwrap().cluster_ip.unwrap();
        let host = url.trim_start_matches("https://").split(':').next().unwrap();
        // The port is that of the URL.
        let address = SocketAddr::new(address.parse().unwrap(), 0);
        let client = Client::builder().no_proxy().tls_certs_only(ca).resolve(host, address).build().unwrap();
        Self { client, url }
    }

    /// Reads something.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn get(&self, token: Option<&str>, path: &str) -> Answer {
        self.send(Method::GET, token, path, &Value::Null).await.unwrap()
    }

    /// Writes something.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn put(&self, token: Option<&str>, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, token, path, body).await.unwrap()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        &self,
        method: Method,
        token: Option<&str>,
        path: &str,
        body: &Value,
    ) -> reqwest::Result<Answer> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.send().await?;
        let status = response.status().as_u16();
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        Ok(Answer { status, body })
    }
}

impl Namespace {
    /// A token as the kubelet gets it for a pod; bound to nothing without one.
    ///
    /// # Panics
    /// The API server gives none.
    pub async fn token(&self, account: &str, audience: &str, pod: Option<&Value>) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let bound = pod.map(|pod| BoundObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            name: pod["metadata"]["name"].as_str().map(str::to_owned),
            uid: pod["metadata"]["uid"].as_str().map(str::to_owned),
        });
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![audience.to_owned()],
                bound_object_ref: bound,
                // The shortest that the API server grants.
                expiration_seconds: Some(600),
            },
            ..TokenRequest::default()
        };
        let granted = accounts.create_token_request(account, &PostParams::default(), &request).await;
        granted.unwrap().status.unwrap().token
    }

    /// A token that the operator accepts from this pod.
    pub async fn runner_token(&self, pod: &Value) -> String {
        self.token(RUNNER, AUDIENCE, Some(pod)).await
    }

    /// A token that a person searches this namespace with.
    pub async fn reader_token(&self) -> String {
        self.token(READER, AUDIENCE, None).await
    }

    /// Searches the memory through the API server, as `kubectl dise search` does.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn search(&self, token: Option<&str>, query: &Value) -> Value {
        let path = format!("/api/v1/namespaces/{SYSTEM}/services/https:dise-operator:api/proxy/v1/search");
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = match token {
            Some(token) => request.header("x-dise-token", token),
            None => request,
        };
        let request = request.body(serde_json::to_vec(query).unwrap()).unwrap();
        match self.client.request_text(request).await {
            Ok(text) => serde_json::from_str(&text).unwrap(),
            // A problem document that the client takes for a Status.
            Err(kube::Error::Api(status)) => serde_json::from_str(&status.message)
                .unwrap_or_else(|_| serde_json::json!({"status": status.code, "detail": status.message})),
            Err(fault) => panic!("no answer to a search: {fault}"),
        }
    }

    /// The newest pod of a role (`executor`, `verify`, `run`) that has the label, if one is given.
    ///
    /// # Panics
    /// There is none.
    pub async fn pod(&self, role: &str, label: Option<(&str, &str)>) -> Value {
        let mut pods = self.list("v1 Pod").await;
        pods.retain(|pod| {
            let labels = &pod["metadata"]["labels"];
            labels["dise.dev/role"] == role && label.is_none_or(|(name, value)| labels[name] == value)
        });
        pods.sort_by_key(|pod| pod["metadata"]["creationTimestamp"].as_str().unwrap().to_owned());
        pods.pop().unwrap()
    }
}

/// A variable of the first container of a pod.
fn env<'p>(pod: &'p Value, name: &str) -> &'p str {
    let variables = pod["spec"]["containers"][0]["env"].as_array().unwrap();
    variables.iter().find(|variable| variable["name"] == name).unwrap()["value"].as_str().unwrap()
}
