//! From `kubectl apply` to an answered request, and back: the life of a workflow on a real cluster.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dise_tests::{
    Namespace,
    namespace::condition,
    store,
    traffic::{Traffic, expecting},
};
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};

const KINDS: [&str; 8] = [
    "Workflow",
    "Artifact",
    "v1 Service",
    "v1 ServiceAccount",
    "apps/v1 Deployment",
    "batch/v1 Job",
    "networking.k8s.io/v1 NetworkPolicy",
    "v1 Pod",
];

/// A function that adds `by` to a number.
fn add(by: i64) -> Value {
    json!({"language": "Python", "source": format!("def run(input):\n    return {{'n': input['n'] + {by}}}\n")})
}

fn step(name: &str, input: &str, by: i64) -> Value {
    json!({
        "name": name,
        "input": {"n": input},
        "output": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        "examples": [{"input": {"n": 1}, "output": {"n": 1 + by}}],
        "checks": [{"name": "grows", "expression": "output.n > input.n"}],
        "options": [{"name": "code", "function": add(by)}],
    })
}

/// Adds 1, then `by`.
fn chain(by: i64) -> Value {
    json!({
        "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        "steps": [step("first", "${input.n}", 1), step("second", "${steps.first.n}", by)],
        "result": {"sum": "${steps.second.n}"},
    })
}

async fn versions(space: &Namespace) -> BTreeMap<String, String> {
    let mut versions = BTreeMap::new();
    for kind in KINDS {
        for object in space.list(kind).await {
            let name = object["metadata"]["name"].as_str().unwrap();
            let version = object["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
            versions.insert(format!("{kind}/{name}"), version);
        }
    }
    versions
}

async fn verified(space: &Namespace) -> BTreeSet<String> {
    let jobs = space.list("batch/v1 Job").await;
    let requests = jobs.iter().filter_map(|job| job["metadata"]["annotations"]["dise.dev/blobs"].as_str());
    requests.flat_map(|list| list.split(',')).map(str::to_owned).collect()
}

#[tokio::test]
async fn an_applied_workflow_answers_and_records_its_proof() {
    Namespace::with("apply", |space| async move {
        space.apply("Workflow", "sum", &chain(10)).await;
        let workflow = space.ready("sum").await;
        assert_eq!(workflow["status"]["quality"], "1.00");
        assert_eq!(workflow["status"]["steps"][1]["tests"], "1/1");
        assert!(condition(&workflow, "Reconciling").is_none());

        let answer = space.run("sum", &json!({"n": 5})).await;
        assert_eq!((answer.status, &answer.body["output"]), (200, &json!({"sum": 16})), "{answer:?}");
        assert_eq!(answer.body["plan"], workflow["status"]["planHash"]);

        let refused = space.run("sum", &json!({"n": "five"})).await;
        assert_eq!((refused.status, &refused.body["pointer"]), (400, &json!("/n")), "{refused:?}");

        let artifacts = space.list("Artifact").await;
        assert_eq!(artifacts.len(), 2);
        for artifact in artifacts {
            assert_eq!(artifact["status"]["tests"], "1/1");
            assert_eq!(condition(&artifact, "Verified").unwrap().status, "True");
            assert_eq!(condition(&artifact, "Promoted").unwrap().status, "True");
            assert!(artifact["status"]["profile"]["samples"].as_i64().unwrap() > 0);
        }
    })
    .await;
}

#[tokio::test]
async fn an_unchanged_apply_changes_nothing() {
    Namespace::with("idle", |space| async move {
        space.apply("Workflow", "sum", &chain(10)).await;
        space.ready("sum").await;
        // What the cluster itself still writes about new pods and finished Jobs settles first.
        let settled = || async {
            let before = versions(&space).await;
            tokio::time::sleep(Duration::from_secs(4)).await;
            (versions(&space).await == before).then_some(before)
        };
        let before = space.until("nothing changes any more", settled).await;
        space.apply("Workflow", "sum", &chain(10)).await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(versions(&space).await, before);
    })
    .await;
}

#[tokio::test]
async fn changing_one_step_proves_that_step_alone() {
    Namespace::with("change", |space| async move {
        space.apply("Workflow", "sum", &chain(10)).await;
        space.ready("sum").await;
        let before = verified(&space).await;
        assert_eq!(before.len(), 2);

        space.apply("Workflow", "sum", &chain(20)).await;
        let workflow = space.ready("sum").await;
        assert_eq!(verified(&space).await.difference(&before).count(), 1);
        let generations: Vec<_> =
            workflow["status"]["steps"].as_array().unwrap().iter().map(|step| &step["generation"]).collect();
        assert_eq!(generations, [1, 2]);
        assert_eq!(space.run("sum", &json!({"n": 5})).await.body["output"], json!({"sum": 26}));

        // Back to the first code: it is known, so nothing is proven again and no new generation is made.
        let jobs = space.list("batch/v1 Job").await.len();
        space.apply("Workflow", "sum", &chain(10)).await;
        let workflow = space.ready("sum").await;
        assert_eq!(workflow["status"]["steps"][1]["generation"], 1);
        assert_eq!(space.list("batch/v1 Job").await.len(), jobs);
    })
    .await;
}

#[tokio::test]
async fn old_generations_are_collected_in_the_cluster_and_kept_in_the_bucket() {
    Namespace::with("collect", |space| async move {
        for by in 1..=4 {
            let mut spec = chain(by);
            spec["evolution"] = json!({"keepGenerations": 2});
            space.apply("Workflow", "sum", &spec).await;
            space.ready("sum").await;
        }
        let second = |artifacts: &[Value]| {
            let mut generations: Vec<_> = artifacts
                .iter()
                .filter(|artifact| artifact["spec"]["step"] == "second")
                .map(|artifact| artifact["status"]["generation"].as_i64().unwrap())
                .collect();
            generations.sort_unstable();
            generations
        };
        space
            .until("two generations are left", || async {
                (second(&space.list("Artifact").await) == [3, 4]).then_some(())
            })
            .await;
        let kept = store::keys(&space.client, &format!("artifacts/{}", space.name)).await;
        assert_eq!(kept.iter().filter(|key| key.contains("-second-")).count(), 4, "{kept:?}");
    })
    .await;
}

#[tokio::test]
async fn deleting_a_workflow_removes_what_it_owns_and_keeps_history() {
    Namespace::with("delete", |space| async move {
        space.apply("Workflow", "sum", &chain(10)).await;
        space.ready("sum").await;
        space.api("Workflow").delete("sum", &DeleteParams::default()).await.unwrap();
        space
            .until("everything is gone", || async {
                let mut left = versions(&space).await;
                left.remove("v1 ServiceAccount/default");
                left.is_empty().then_some(())
            })
            .await;
        assert!(!store::keys(&space.client, &format!("artifacts/{}", space.name)).await.is_empty());
        assert!(!store::keys(&space.client, &format!("blobs/{}", space.name)).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_run_as_an_object_ends_with_its_result() {
    Namespace::with("run", |space| async move {
        // A run may be there before its workflow.
        space.apply("WorkflowRun", "early", &json!({"workflow": "sum", "input": {"n": 1}})).await;
        let waiting = space.wait("WorkflowRun", "early", "Succeeded", |_| true).await;
        assert_eq!(waiting.reason, "WorkflowNotFound");

        space.apply("Workflow", "sum", &chain(10)).await;
        space.wait("WorkflowRun", "early", "Succeeded", |run| run.status == "True").await;
        let run = space.get("WorkflowRun", "early").await;
        assert_eq!(run["status"]["output"], json!({"sum": 12}));
        assert_eq!(run["status"]["quality"], "1.00");
        assert_eq!(run["status"]["steps"].as_array().unwrap().len(), 2);

        let bad = json!({"workflow": "sum", "input": {"n": "x"}, "ttlSecondsAfterFinished": 2});
        space.apply("WorkflowRun", "bad", &bad).await;
        let refused = space.wait("WorkflowRun", "bad", "Succeeded", |run| run.status == "False").await;
        assert_eq!(refused.reason, "InvalidInput");
        assert!(refused.message.contains("/n"), "{}", refused.message);
        space
            .until("the run is deleted after its time", || async {
                space.api("WorkflowRun").get_opt("bad").await.unwrap().is_none().then_some(())
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_large_result_is_kept_in_the_bucket() {
    Namespace::with("large", |space| async move {
        let source = "def run(input):\n    return 'x' * 100000\n";
        let spec = json!({"steps": [{
            "name": "fill", "options": [{"name": "code", "function": {"language": "Python", "source": source}}],
        }]});
        space.apply("Workflow", "big", &spec).await;
        space.apply("WorkflowRun", "big", &json!({"workflow": "big"})).await;
        space.wait("WorkflowRun", "big", "Succeeded", |run| run.status == "True").await;
        let run = space.get("WorkflowRun", "big").await;
        assert_eq!(run["status"]["outputRef"]["sizeBytes"], 100_002);
        assert_eq!(run["status"]["output"], Value::Null);
        let blobs = store::keys(&space.client, &format!("blobs/{}", space.name)).await;
        let digest = run["status"]["outputRef"]["digest"].as_str().unwrap().trim_start_matches("sha256:");
        assert!(blobs.contains(digest));
    })
    .await;
}

#[tokio::test]
async fn use_is_counted_on_workflows_and_artifacts() {
    Namespace::with("usage", |space| async move {
        space.apply("Workflow", "sum", &chain(10)).await;
        space.ready("sum").await;
        for n in 0..7 {
            assert_eq!(space.run("sum", &json!({"n": n})).await.status, 200);
        }
        space.apply("WorkflowRun", "one", &json!({"workflow": "sum", "input": {"n": 1}})).await;
        space.wait("WorkflowRun", "one", "Succeeded", |run| run.status == "True").await;
        space
            .until("eight executions are counted", || async {
                let workflow = space.get("Workflow", "sum").await;
                (workflow["status"]["executions"] == 8).then_some(())
            })
            .await;
        space
            .until("eight uses of each artifact are counted", || async {
                let artifacts = space.list("Artifact").await;
                artifacts.iter().all(|artifact| artifact["status"]["usageCount"] == 8).then_some(())
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn code_and_tools_that_are_missing_are_waited_for() {
    Namespace::with("missing", |space| async move {
        let option = |option: Value| json!({"steps": [{"name": "only", "options": [option]}]});
        space
            .apply(
                "Workflow",
                "codeless",
                &option(json!({"name": "code", "function": {"language": "Python"}})),
            )
            .await;
        assert_eq!(space.stalled("codeless").await.reason, "CodeMissing");

        space.apply("Workflow", "borrower", &option(json!({"name": "lent", "tool": "double"}))).await;
        let missing = space.stalled("borrower").await;
        assert_eq!(missing.reason, "ToolNotFound");
        assert!(missing.message.contains("double"), "{}", missing.message);

        let tool = json!({
            "type": "BashScript",
            "bashScript": {"source": "jq '. * 2'"},
            "examples": [{"input": 4, "output": 8}],
        });
        space.apply("Tool", "double", &tool).await;
        space.wait("Tool", "double", "Ready", |ready| ready.status == "True").await;
        space.ready("borrower").await;
        assert_eq!(space.run("borrower", &json!(21)).await.body["output"], 42);
    })
    .await;
}

#[tokio::test]
async fn a_dedicated_workflow_has_its_own_pods_and_scales() {
    Namespace::with("dedicated", |space| async move {
        let mut spec = chain(10);
        spec["serving"] = json!({"mode": "Dedicated", "replicas": 2});
        space.apply("Workflow", "sum", &spec).await;
        let workflow = space.ready("sum").await;
        assert_eq!(workflow["status"]["selector"], "dise.dev/executor=sum");
        assert_eq!(space.run("sum", &json!({"n": 1})).await.body["output"], json!({"sum": 12}));
        let names = |objects: Vec<Value>| {
            objects
                .iter()
                .map(|object| object["metadata"]["name"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names(space.list("apps/v1 Deployment").await), ["sum-executor"]);

        let clients = [expecting(space.reconnecting("sum").await, json!({"n": 1}), json!({"sum": 12}))];
        let traffic = Traffic::start(clients, Duration::from_millis(20));
        for (mode, left) in [("Shared", "dise-executor"), ("Dedicated", "sum-executor")] {
            spec["serving"] = json!({"mode": mode});
            space.apply("Workflow", "sum", &spec).await;
            space.ready("sum").await;
            space
                .until("only the new executor is left", || async {
                    (names(space.list("apps/v1 Deployment").await) == [left]).then_some(())
                })
                .await;
            assert_eq!(space.get("Workflow", "sum").await["status"]["servingMode"], mode);
        }
        traffic.stop().await.expect_all("clients while the executor changed", 100);
    })
    .await;
}

#[tokio::test]
async fn a_service_of_somebody_else_is_left_alone() {
    Namespace::with("taken", |space| async move {
        let service = json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "sum"},
            "spec": {"ports": [{"port": 1234}]},
        });
        let service = serde_json::from_value(service).unwrap();
        space.api("v1 Service").create(&PostParams::default(), &service).await.unwrap();
        space.apply("Workflow", "sum", &chain(10)).await;
        assert_eq!(space.stalled("sum").await.reason, "ServiceNameTaken");
        assert_eq!(space.get("v1 Service", "sum").await["spec"]["ports"][0]["port"], 1234);

        space.api("v1 Service").delete("sum", &DeleteParams::default()).await.unwrap();
        space.ready("sum").await;
    })
    .await;
}
