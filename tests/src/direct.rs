//! Requests straight to the Service of a workflow, as other pods of the cluster send them.

use std::time::Duration;

use reqwest::{
    Body, Client, ClientBuilder, Method,
    header::{CONTENT_TYPE, HeaderMap},
};
use serde_json::{Value, json};

use crate::Namespace;

/// A packet that nobody routes yet is lost, and so is all that follows it on the same connection.
const CONNECTED: Duration = Duration::from_secs(2);
const ANSWERED: Duration = Duration::from_mins(1);

/// A client of a workflow's Service. This machine must be a node of the cluster.
#[derive(Clone, Debug)]
pub struct Direct {
    client: Client,
    url: String,
    workflow: String,
}

/// An answer with everything that came.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
    /// The body as JSON; null if it is none.
    pub body: Value,
}

impl Namespace {
    /// A client that keeps its connection.
    ///
    /// # Panics
    /// The Service does not lead to a pod in time.
    pub async fn direct(&self, workflow: &str) -> Direct {
        self.direct_with(workflow, Client::builder()).await
    }

    /// A client that connects anew for every request, and so to any pod behind the Service.
    ///
    /// # Panics
    /// The Service does not lead to a pod in time.
    pub async fn reconnecting(&self, workflow: &str) -> Direct {
        self.direct_with(workflow, Client::builder().pool_max_idle_per_host(0)).await
    }

    async fn direct_with(&self, workflow: &str, client: ClientBuilder) -> Direct {
        // A proxy of the environment does not reach into the cluster. Nothing is sent twice: what fails, counts.
        let client = client.no_proxy().retry(reqwest::retry::never());
        let client = client.connect_timeout(CONNECTED).timeout(ANSWERED);
        let direct = Direct {
            client: client.build().unwrap(),
            url: self.address(workflow).await,
            workflow: workflow.to_owned(),
        };
        // The nodes learn of a Service's first pod some time after the pod and the workflow are ready.
        let routed = async || {
            let answer = direct.send(Method::GET, "/readyz", "").await;
            answer.is_ok_and(|answer| answer.status == 200).then_some(())
        };
        self.until("the Service leads to a pod", routed).await;
        direct
    }
}

impl Direct {
    /// Runs the workflow.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn try_run(&self, input: &Value) -> reqwest::Result<Response> {
        self.send(Method::POST, &self.run_path(), json!({"input": input}).to_string()).await
    }

    /// Runs the workflow.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn run(&self, input: &Value) -> Response {
        self.try_run(input).await.unwrap()
    }

    /// Sends a body of any kind to where the workflow is run.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn run_raw(&self, body: impl Into<Body>) -> Response {
        self.send(Method::POST, &self.run_path(), body).await.unwrap()
    }

    /// Reads something else than a workflow's result.
    ///
    /// # Panics
    /// There is no answer.
    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, "").await.unwrap()
    }

    /// Sends a request.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Body>) -> reqwest::Result<Response> {
        let request = self.client.request(method, format!("{}{path}", self.url));
        let response = request.header(CONTENT_TYPE, "application/json").body(body).send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Ok(Response { status, headers, text, body })
    }

    /// A client of another workflow that the same executor serves.
    #[must_use]
    pub fn of(&self, workflow: &str) -> Self {
        Self { workflow: workflow.to_owned(), ..self.clone() }
    }

    fn run_path(&self) -> String {
        format!("/v1/workflows/{}/run", self.workflow)
    }
}

impl Response {
    /// A header as text, empty if there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// What is wrong with it as a problem document of RFC 9457 with this status and reason; empty if nothing is.
    #[must_use]
    pub fn problem_faults(&self, status: u16, reason: &str) -> Vec<String> {
        let mut faults = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                faults.push(format!("{what}: {} {}", self.status, self.text));
            }
        };
        expect(self.status == status, &format!("status {status}"));
        expect(self.header("content-type") == "application/problem+json", "media type");
        expect(self.body["status"] == self.status, "status in the document");
        expect(self.body["reason"] == reason, &format!("reason {reason}"));
        expect(self.body["type"] == format!("urn:dise:problem:{reason}"), "type");
        for field in ["title", "detail"] {
            expect(self.body[field].as_str().is_some_and(|text| !text.is_empty()), field);
        }
        faults
    }
}
