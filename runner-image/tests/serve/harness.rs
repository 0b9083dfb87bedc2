//! An executor under test, and plans for it.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use clap::Parser as _;
use dise_core::{
    digest::Digest,
    function::{Language, Limits},
    plan::{PLAN_FORMAT, Plan, PlanOption, PlanStep},
    verification::Check,
};
use dise_runner::commands::{Cli, Command};
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::operator::{FakeOperator, TOKEN};

/// How long anything may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) const NAMESPACE: &str = "shop";

pub(crate) const ECHO: &str = "def run(input):\n    return input\n";

/// A serving executor. It ends with the test.
pub(crate) struct Executor {
    pub(crate) url: String,
    pub(crate) client: Client,
    pub(crate) stop: CancellationToken,
    pub(crate) task: Option<JoinHandle<anyhow::Result<()>>>,
    pub(crate) dir: TempDir,
}

/// Installs the TLS provider as `main` does, and gives a client.
pub(crate) fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::new()
}

/// A folder with a token in it.
pub(crate) fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("token"), format!("{TOKEN}\n")).unwrap();
    dir
}

/// The arguments that every command takes.
pub(crate) fn shared_args(url: &str, dir: &Path) -> Vec<String> {
    let token = dir.join("token").display().to_string();
    [
        "--operator-url",
        url,
        "--token-file",
        &token,
        "--pod-name",
        "dise-executor-1-x",
        "--pod-namespace",
        NAMESPACE,
    ]
    .map(str::to_owned)
    .to_vec()
}

impl Executor {
    /// Starts an executor of what `operator` lists, and waits until it is ready.
    pub(crate) async fn start(operator: &FakeOperator, args: &[&str]) -> Self {
        let url = format!("http://{}", operator.start().await);
        let executor = Self::start_in(folder(), &url, args);
        executor.until_ready().await;
        executor
    }

    /// Starts an executor of the operator at `url`.
    pub(crate) fn start_in(dir: TempDir, url: &str, args: &[&str]) -> Self {
        let client = client();
        let cache = dir.path().join("cache").display().to_string();
        let mut line = vec!["dise-runner".to_owned(), "serve".to_owned()];
        line.extend(shared_args(url, dir.path()));
        line.extend(["--listen", "127.0.0.1:0", "--cache-dir", &cache].map(str::to_owned));
        if !args.contains(&"--drain-seconds") {
            line.extend(["--drain-seconds", "0"].map(str::to_owned));
        }
        line.extend(args.iter().map(|arg| (*arg).to_owned()));
        let Command::Serve(serve) = Cli::parse_from(line).command else { panic!("not serve") };
        let executor = serve.prepare().unwrap();
        let url = format!("http://{}", executor.address().unwrap());
        let stop = CancellationToken::new();
        let task = Some(tokio::spawn(executor.serve(stop.clone())));
        Self { url, client, stop, task, dir }
    }

    pub(crate) async fn until_ready(&self) {
        eventually("ready", async || self.get("/readyz").await.status() == 200).await;
    }

    /// Waits until the workflow is served by this plan.
    pub(crate) async fn until_serving(&self, plan: &Plan) {
        let digest = plan.digest().unwrap().to_string();
        eventually("serving", async || self.report().await[&plan.workflow]["serving"] == digest).await;
    }

    /// The workflows of the serving report.
    pub(crate) async fn report(&self) -> Value {
        self.get("/v1/workflows").await.json::<Value>().await.unwrap()["workflows"].take()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn text(&self, path: &str) -> String {
        self.get(path).await.text().await.unwrap()
    }

    /// Posts a body to the path.
    pub(crate) async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> (u16, Value) {
        let response = self.client.post(format!("{}{path}", self.url)).body(body).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Executes the workflow with an input.
    pub(crate) async fn run(&self, workflow: &str, input: &Value) -> (u16, Value) {
        self.post(&format!("/v1/workflows/{workflow}/run"), json!({"input": input}).to_string()).await
    }

    /// Stops the executor and waits for its end.
    pub(crate) async fn end(&mut self) {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap().unwrap();
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until `holds`, and fails when it never does.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < PATIENCE, "never {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// A plan of these steps that takes and gives anything.
pub(crate) fn plan(workflow: &str, steps: Vec<PlanStep>) -> Plan {
    let result = format!("${{steps.{}}}", steps.last().unwrap().name);
    Plan {
        format: PLAN_FORMAT,
        namespace: NAMESPACE.into(),
        workflow: workflow.into(),
        description: String::new(),
        input: json!({}),
        steps,
        result: json!(result),
    }
}

/// A step that takes the workflow's input and gives anything.
pub(crate) fn step(name: &str, function: Digest) -> PlanStep {
    PlanStep {
        name: name.into(),
        depends_on: Vec::new(),
        input: json!("${input}"),
        output: json!({}),
        checks: Vec::new(),
        limits: Limits::default(),
        options: vec![PlanOption {
            name: "code".into(),
            language: Language::Python,
            function,
            artifact: format!("{name}-1"),
            generation: 1,
            profile: None,
        }],
    }
}

pub(crate) fn check(name: &str, expression: &str) -> Check {
    Check { name: name.into(), expression: expression.into() }
}

/// A workflow of one step, whose function has this source.
pub(crate) fn simple(operator: &FakeOperator, workflow: &str, source: &str) -> Plan {
    plan(workflow, vec![step("only", operator.add_function(source))])
}
