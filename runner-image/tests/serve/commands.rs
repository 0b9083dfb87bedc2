//! The binary itself: `run`, `verify`, and `serve` with signals.

use std::{
    process::{Output, Stdio},
    time::{Duration, Instant},
};

use dise_core::{
    digest::Digest,
    function::{Function, Language, Limits},
    verification::{Example, VerificationRequest},
    wire::{RunAssignment, RunResult},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::{
    harness::{ECHO, client, eventually, folder, shared_args, simple},
    operator::FakeOperator,
};

/// A pod of the binary, and its operator.
pub(crate) struct Pod {
    pub(crate) operator: FakeOperator,
    url: String,
    dir: TempDir,
}

impl Pod {
    pub(crate) async fn new() -> Self {
        let operator = FakeOperator::default();
        let url = format!("http://{}", operator.start().await);
        Self { operator, url, dir: folder() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dise-runner"));
        command.arg(args[0]).args(shared_args(&self.url, self.dir.path())).args(&args[1..]);
        command.env("DISE_LOG_FORMAT", "text").kill_on_drop(true);
        command
    }

    /// Starts `serve`, waits until it is ready, and gives it with its base URL.
    pub(crate) async fn serve(&self) -> (Child, String) {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let cache = self.dir.path().join("cache").display().to_string();
        let args = ["serve", "--listen", &free, "--cache-dir", &cache, "--drain-seconds", "0"];
        let child = self.command(&args).stderr(Stdio::null()).spawn().unwrap();
        let (client, url) = (client(), format!("http://{free}"));
        let ready =
            async || client.get(format!("{url}/readyz")).send().await.is_ok_and(|it| it.status() == 200);
        eventually("ready", ready).await;
        (child, url)
    }

    async fn execute(&self, args: &[&str]) -> Output {
        self.command(args).output().await.unwrap()
    }

    /// Assigns a run of a workflow whose only function has this source.
    fn assign(&self, source: &str, input: Value) {
        let mut plan = simple(&self.operator, "flow", source);
        plan.input = json!({"type": "object"});
        let plan = self.operator.add_plan(&plan);
        let run_id = "run-uid-1".to_owned();
        let assignment =
            RunAssignment { run_id, workflow: "flow".into(), plan, input, deadline_seconds: Some(20) };
        self.operator.script().runs.insert("my-run".into(), assignment);
    }

    async fn run(&self) -> (Output, Option<RunResult>) {
        let output = self.execute(&["run", "--name", "my-run"]).await;
        let result = self.operator.script().results.get("my-run").cloned();
        (output, result)
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn request(source: &str, output: Value) -> VerificationRequest {
    VerificationRequest {
        function: Function { language: Language::Python, source: source.into() },
        output: json!({}),
        examples: vec![Example { input: json!({"n": 1}), output }],
        checks: Vec::new(),
        limits: Limits::default(),
    }
}

#[tokio::test]
async fn a_run_is_executed_and_delivered() {
    let pod = Pod::new().await;
    pod.assign(ECHO, json!({"n": 1}));

    let began = Instant::now();
    let (output, result) = pod.run().await;

    println!("run: {:?} from start to end", began.elapsed());
    assert!(output.status.success(), "{}", stderr(&output));
    let result = result.unwrap();
    assert_eq!((result.output, result.error), (Some(json!({"n": 1})), None));
    assert_eq!(result.run_id, "run-uid-1");
    let line = String::from_utf8(output.stdout).unwrap();
    assert!(line.starts_with("run my-run of flow succeeded") && line.lines().count() == 1, "{line}");
    let usage = pod.operator.script().usage.clone();
    assert_eq!(usage["run-uid-1"].workflows["flow"].executions, 1);
}

#[tokio::test]
async fn a_run_that_fails_is_delivered_as_a_result() {
    for (source, input, reason, step) in [
        ("def run(input):\n    return 1 / 0\n", json!({}), "Raised", Some("only")),
        ("def run(input)\n", json!({}), "SourceFault", Some("only")),
        (ECHO, json!(["no object"]), "InvalidInput", None),
    ] {
        let pod = Pod::new().await;
        pod.assign(source, input);
        let (output, result) = pod.run().await;
        assert!(output.status.success(), "{}", stderr(&output));
        let error = result.unwrap().error.unwrap();
        assert_eq!((error.reason.as_str(), error.step.as_deref()), (reason, step), "{}", error.message);
    }
}

#[tokio::test]
async fn a_run_of_an_unusable_plan_is_delivered_as_a_result() {
    let pod = Pod::new().await;
    pod.assign(ECHO, json!({}));
    let plan = pod.operator.add_blob(br#"{"format": 7}"#.to_vec());
    pod.operator.script().runs.get_mut("my-run").unwrap().plan = plan;
    let (output, result) = pod.run().await;
    assert!(output.status.success(), "{}", stderr(&output));
    let error = result.unwrap().error.unwrap();
    assert_eq!(error.reason, "PlanUnusable");
    assert!(error.message.contains("format 7"), "{}", error.message);
}

#[tokio::test]
async fn a_run_outlives_a_short_outage_of_the_operator() {
    let pod = Pod::new().await;
    pod.assign(ECHO, json!({}));
    pod.operator.script().failures = (3, 503);
    let (output, result) = pod.run().await;
    assert!(output.status.success() && result.is_some(), "{}", stderr(&output));
}

#[tokio::test]
async fn a_run_that_cannot_be_had_fails_and_says_what_to_check() {
    let pod = Pod::new().await;
    let (output, _) = pod.run().await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("does not have GET /v1/runs/my-run"), "{}", stderr(&output));

    std::fs::write(pod.dir.path().join("token"), "another").unwrap();
    let (output, _) = pod.run().await;
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("TokenReviews"), "{}", stderr(&output));
}

#[tokio::test]
async fn verifications_are_delivered_one_by_one() {
    let pod = Pod::new().await;
    let proven = pod.operator.add_request(&request(ECHO, json!({"n": 1})));
    let malformed = pod.operator.add_blob(br#"{"function": 1}"#.to_vec());
    let missing = Digest::of(b"missing");
    let refuted = pod.operator.add_request(&request(ECHO, json!({"n": 2})));
    let ids = [proven, malformed, missing, refuted].map(|digest| digest.to_string());
    let args: Vec<&str> =
        std::iter::once("verify").chain(ids.iter().flat_map(|id| ["--request", id.as_str()])).collect();

    let output = pod.execute(&args).await;

    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains(&format!("1 of 4 verifications could not be carried out: {missing}")));
    let reports = pod.operator.script().verifications.clone();
    assert_eq!(reports.iter().map(|report| report.request).collect::<Vec<_>>(), [proven, malformed, refuted]);
    assert!(reports[0].is_proof(), "{:?}", reports[0]);
    assert!(reports[1].fault.as_ref().unwrap().contains("malformed"), "{:?}", reports[1]);
    assert_eq!((reports[2].fault.as_ref(), reports[2].failed), (None, 1), "{:?}", reports[2]);
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 3);
}

#[tokio::test]
async fn a_served_process_ends_well_on_sigterm() {
    let pod = Pod::new().await;
    pod.operator.publish(&[simple(&pod.operator, "echo", ECHO)]);
    let (mut child, url) = pod.serve().await;
    let run = client().post(format!("{url}/v1/run")).body(r#"{"input": 1}"#);
    assert_eq!(run.send().await.unwrap().status(), 200);

    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());

    let status = tokio::time::timeout(Duration::from_secs(10), child.wait()).await.unwrap().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(pod.operator.script().usage.values().next().unwrap().workflows["echo"].executions, 1);
}
