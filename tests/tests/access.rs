//! Who may ask the operator for what, and what is within reach of pods and of the code that runs in them.
//!
//! That an expired token is refused is the API server's part: it reviews each token, and grants none that lives for
//! less than ten minutes. What is tested here is that its verdict counts: with a token whose signature is forged, with
//! one for somebody else, and with one whose pod is gone.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "access/reach.rs"]
mod reach;

use std::time::{Duration, Instant};

use dise_tests::{
    Namespace,
    http::Answer,
    operator::{AUDIENCE, Operator, RUNNER},
    spec::adder,
};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

/// How long the operator and the API server may believe in a pod that is gone: 30 s and 10 s.
const BELIEVED: Duration = Duration::from_secs(40);

async fn serve(space: &Namespace, workflow: &str, spec: &Value) -> String {
    space.apply("Workflow", workflow, spec).await;
    space.ready(workflow).await["status"]["planHash"].as_str().unwrap().to_owned()
}

fn blob(digest: &str) -> String {
    format!("/v1/blobs/{digest}")
}

/// What is wrong with a refusal: its status, its form as a problem document of RFC 9457, or its words.
fn fault(what: &str, answer: &Answer, status: u16, words: &str) -> Option<String> {
    let document = &answer.body;
    let is_problem = document["status"] == status && document["title"].is_string();
    let says = document["detail"].as_str().is_some_and(|detail| detail.contains(words));
    (answer.status != status || !is_problem || !says)
        .then(|| format!("{what}: expected {status} with {words:?}, got {} {document}", answer.status))
}

fn expect(faults: impl IntoIterator<Item = Option<String>>) {
    let faults: Vec<_> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The same token with another signature.
fn forged(token: &str) -> String {
    let (body, signature) = token.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    format!("{body}.{turned}")
}

/// The same signature under other claims.
fn promoted(token: &str, other: &str) -> String {
    let mut parts: Vec<&str> = token.split('.').collect();
    parts[1] = other.split('.').nth(1).unwrap();
    parts.join(".")
}

#[tokio::test]
async fn the_operator_knows_its_callers() {
    Namespace::with("tokens", |space| async move {
        let plan = serve(&space, "sum", &adder(1)).await;
        let pod = space.pod("executor", None).await;
        let operator = Operator::of(&space, &pod).await;
        let good = space.runner_token(&pod).await;
        let list = operator.get(Some(&good), "/v1/plans").await;
        assert_eq!((list.status, &list.body["plans"]), (200, &json!({"sum": plan})));
        assert_eq!(operator.get(Some(&good), &blob(&plan)).await.body["workflow"], "sum");

        let unbound = space.token(RUNNER, AUDIENCE, None).await;
        let default = space.token("default", AUDIENCE, None).await;
        let get = async |token: &str| operator.get(Some(token), "/v1/plans").await;
        let mut faults =
            vec![fault("no token", &operator.get(None, "/v1/plans").await, 401, "no bearer token")];
        for (what, token, status, words) in [
            ("audience kubernetes", space.token(RUNNER, "kubernetes", Some(&pod)).await, 401, AUDIENCE),
            (
                "audience of the API server",
                space.token(RUNNER, "https://kubernetes.default.svc", Some(&pod)).await,
                401,
                AUDIENCE,
            ),
            ("a forged signature", forged(&good), 401, "expired"),
            ("claims of another token", promoted(&good, &default), 401, "expired"),
            ("nonsense", "nonsense".to_owned(), 401, "expired"),
            ("bound to no pod", unbound, 403, "not bound to a pod"),
            ("another account", default, 403, "is not a runner's service account"),
        ] {
            faults.push(fault(what, &get(&token).await, status, words));
            // Not even the second time.
            faults.push(fault(what, &get(&token).await, status, words));
        }
        faults.push(fault("elsewhere", &operator.get(Some(&good), "/v2").await, 404, "/v1"));
        faults.push(fault("a name", &operator.get(Some(&good), "/v1/blobs/x").await, 400, "x"));
        expect(faults);

        let stranger = Operator::trusting(&space, &pod, Vec::new()).await;
        let refused = stranger.send(reqwest::Method::GET, None, "/v1/plans", &Value::Null).await.unwrap_err();
        assert!(format!("{refused:?}").contains("UnknownIssuer"), "{refused:?}");
    })
    .await;
}

/// A pod that anybody in the namespace could start, with the labels of an executor.
async fn impostor(space: &Namespace, account: &str, labels: &Value) -> Value {
    let name = format!("impostor-{account}");
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels},
        "spec": {
            "serviceAccountName": account,
            // It need not run, only exist.
            "nodeSelector": {"no": "node"},
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "c", "image": "none",
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    let pods = space.api("v1 Pod");
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    space.get("v1 Pod", &name).await
}

#[tokio::test]
async fn a_pod_that_only_looks_like_a_runner_is_refused() {
    Namespace::with("impostor", |space| async move {
        serve(&space, "sum", &adder(1)).await;
        let operator = Operator::of(&space, &space.pod("executor", None).await).await;
        let executor = json!({"dise.dev/role": "executor", "dise.dev/executor": "shared.dise.dev"});
        let mut faults = Vec::new();
        for (account, labels, words) in [
            ("default", executor, "is not a runner's service account"),
            (RUNNER, json!({"dise.dev/role": "king"}), "no label dise.dev/role of a runner"),
        ] {
            let pod = impostor(&space, account, &labels).await;
            let token = space.token(account, AUDIENCE, Some(&pod)).await;
            faults.push(fault(account, &operator.get(Some(&token), "/v1/plans").await, 403, words));
        }
        expect(faults);
    })
    .await;
}

#[tokio::test]
async fn a_namespace_sees_nothing_of_another() {
    Namespace::with("here", |here| async move {
        Namespace::with("there", |there| async move {
            let (one, two) = (adder(1), adder(2));
            let (mine, theirs) = tokio::join!(serve(&here, "sum", &one), serve(&there, "sum", &two));
            let operator = Operator::of(&here, &here.pod("executor", None).await).await;
            let token = here.runner_token(&here.pod("executor", None).await).await;
            let other = there.runner_token(&there.pod("executor", None).await).await;
            let get = async |token: &str, path: &str| operator.get(Some(token), path).await;
            assert_eq!(get(&token, "/v1/plans").await.body["plans"], json!({"sum": mine}));
            assert_eq!(get(&other, "/v1/plans").await.body["plans"], json!({"sum": theirs}));
            let plan = get(&other, &blob(&theirs)).await;
            let function = plan.body["steps"][0]["options"][0]["function"].as_str().unwrap();
            assert_eq!(get(&other, &blob(function)).await.status, 200);

            let absent = format!("sha256:{}", "0".repeat(64));
            let answers = [
                ("their plan", get(&token, &blob(&theirs)).await),
                ("their function", get(&token, &blob(function)).await),
                // Answered alike, so that nobody learns what exists.
                ("nothing", get(&token, &blob(&absent)).await),
            ];
            expect(answers.iter().map(|(what, answer)| fault(what, answer, 404, "there is no blob")));
        })
        .await;
    })
    .await;
}

/// Runner pods of all roles in one namespace: their tokens, and the plans that are served.
struct Cast {
    operator: Operator,
    shared: String,
    dedicated: String,
    executor: String,
    alone: String,
    run: String,
    verify: String,
    /// The request that the verify pod answered.
    request: String,
}

impl Cast {
    /// `sum` is served by the shared executor and was run once, `own` has an executor for itself.
    async fn assemble(space: &Namespace) -> Self {
        let mut own = adder(2);
        own["serving"] = json!({"mode": "Dedicated", "replicas": 1});
        let sum = adder(1);
        let (shared, dedicated) = tokio::join!(serve(space, "sum", &sum), serve(space, "own", &own));
        for name in ["once", "twice"] {
            space.apply("WorkflowRun", name, &json!({"workflow": "sum", "input": {"n": 1}})).await;
            space.wait("WorkflowRun", name, "Succeeded", |run| run.status == "True").await;
        }
        let executor = space.pod("executor", Some(("dise.dev/executor", "shared.dise.dev"))).await;
        let alone = space.pod("executor", Some(("dise.dev/executor", "own"))).await;
        let run = space.pod("run", Some(("dise.dev/run", "once"))).await;
        let verify = space.pod("verify", None).await;
        let requests = verify["metadata"]["annotations"]["dise.dev/blobs"].as_str().unwrap();
        Self {
            operator: Operator::of(space, &executor).await,
            shared,
            dedicated,
            executor: space.runner_token(&executor).await,
            alone: space.runner_token(&alone).await,
            run: space.runner_token(&run).await,
            verify: space.runner_token(&verify).await,
            request: requests.split(',').next().unwrap().to_owned(),
        }
    }

    async fn get(&self, token: &str, path: &str) -> Answer {
        self.operator.get(Some(token), path).await
    }

    async fn put(&self, token: &str, path: &str) -> Answer {
        self.operator.put(Some(token), path, &json!({})).await
    }

    async fn function(&self, plan: &str) -> String {
        let plan = self.get(&self.executor, &blob(plan)).await.body;
        plan["steps"][0]["options"][0]["function"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_pod_sees_what_it_is_for_and_nothing_else() {
    Namespace::with("roles", |space| async move {
        let cast = Cast::assemble(&space).await;
        let (of_shared, of_dedicated) =
            (cast.function(&cast.shared).await, cast.function(&cast.dedicated).await);
        let lists = [(&cast.executor, "sum", &cast.shared), (&cast.alone, "own", &cast.dedicated)];
        for (token, name, plan) in lists {
            assert_eq!(cast.get(token, "/v1/plans").await.body["plans"], json!({name: plan}));
        }
        for (what, token, digest) in [
            ("executor, own function", &cast.executor, &of_shared),
            ("dedicated executor, own plan", &cast.alone, &cast.dedicated),
            ("dedicated executor, own function", &cast.alone, &of_dedicated),
            ("run, own plan", &cast.run, &cast.shared),
            ("run, own function", &cast.run, &of_shared),
            ("verify, own request", &cast.verify, &cast.request),
        ] {
            assert_eq!(cast.get(token, &blob(digest)).await.status, 200, "{what}");
        }
        assert_eq!(cast.get(&cast.run, "/v1/runs/once").await.body["workflow"], "sum");
        let mut faults = Vec::new();
        for (what, token, digest) in [
            ("dedicated executor, other plan", &cast.alone, &cast.shared),
            ("dedicated executor, other function", &cast.alone, &of_shared),
            ("dedicated executor, request", &cast.alone, &cast.request),
            ("run, other plan", &cast.run, &cast.dedicated),
            ("run, other function", &cast.run, &of_dedicated),
            ("verify, plan", &cast.verify, &cast.shared),
        ] {
            faults.push(fault(what, &cast.get(token, &blob(digest)).await, 404, "there is no blob"));
        }
        expect(faults);
    })
    .await;
}

#[tokio::test]
async fn a_pod_does_what_it_is_for_and_nothing_else() {
    Namespace::with("deeds", |space| async move {
        let cast = Cast::assemble(&space).await;
        let report = format!("/v1/verifications/{}", cast.request);
        let other = format!("/v1/verifications/{}", cast.shared);
        let mut faults = Vec::new();
        for (token, path, words) in [
            (&cast.verify, "/v1/plans", "needs executor"),
            (&cast.verify, "/v1/runs/once", "needs run"),
            (&cast.run, "/v1/plans", "needs executor"),
            (&cast.run, "/v1/runs/twice", "does not belong to run twice"),
            (&cast.executor, "/v1/runs/once", "needs run"),
        ] {
            faults.push(fault(path, &cast.get(token, path).await, 403, words));
        }
        for (token, path, words) in [
            (&cast.run, report.as_str(), "needs verify"),
            (&cast.executor, report.as_str(), "needs verify"),
            (&cast.verify, other.as_str(), "was not started for"),
            (&cast.executor, "/v1/runs/once/result", "needs run"),
            (&cast.verify, "/v1/runs/once/result", "needs run"),
            (&cast.run, "/v1/runs/twice/result", "does not belong to run twice"),
            (&cast.verify, "/v1/usage/boot", "executes no workflows"),
        ] {
            faults.push(fault(path, &cast.put(token, path).await, 403, words));
        }
        let foreign = json!({"pod": "x", "workflows": {"sum": {
            "executions": 9, "failures": 0, "qualitySamples": 0, "qualitySum": 0.0, "costUsd": "0", "artifacts": {},
        }}});
        let answer = cast.operator.put(Some(&cast.alone), "/v1/usage/boot", &foreign).await;
        faults.push(fault("usage of others", &answer, 403, "does not execute workflow sum"));
        expect(faults);
        let status = space.get("WorkflowRun", "once").await["status"].clone();
        assert_eq!(status["output"], json!({"n": 2}), "a refused result must not be written");
    })
    .await;
}

#[tokio::test]
async fn a_pod_that_is_gone_is_no_caller_any_more() {
    Namespace::with("gone", |space| async move {
        serve(&space, "sum", &adder(1)).await;
        let executor = space.pod("executor", None).await;
        let operator = Operator::of(&space, &executor).await;
        // It has ended, so that deleting it takes no time.
        let pod = space.pod("verify", None).await;
        let token = space.runner_token(&pod).await;
        let request = pod["metadata"]["annotations"]["dise.dev/blobs"].as_str().unwrap();
        assert_eq!(operator.get(Some(&token), &blob(request)).await.status, 200);
        let name = pod["metadata"]["name"].as_str().unwrap();
        space.api("v1 Pod").delete(name, &DeleteParams::default()).await.unwrap();
        let gone = async || space.api("v1 Pod").get_opt(name).await.unwrap().is_none().then_some(());
        space.until("the pod is gone", gone).await;
        let start = Instant::now();
        let refusal = loop {
            let answer = operator.get(Some(&token), &blob(request)).await;
            if answer.status != 200 {
                break answer;
            }
            assert!(start.elapsed() < BELIEVED + Duration::from_secs(5), "it still has access");
            tokio::time::sleep(Duration::from_millis(500)).await;
        };
        expect([fault("gone", &refusal, 401, "")]);
        // A new token cannot be had either, and another pod still has access.
        assert_eq!(operator.get(Some(&space.runner_token(&executor).await), "/v1/plans").await.status, 200);
    })
    .await;
}
