//! What happens when parts of the system die. Runs on the project's own cluster alone, one test at a time.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use dise_tests::{
    Namespace, SYSTEM, node, store,
    traffic::{Traffic, answered},
};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
};
use serde_json::{Value, json};
use tokio::sync::Mutex;

/// Tests of this file disturb each other.
static ALONE: Mutex<()> = Mutex::const_new(());

const OPERATOR: &str = "/usr/local/bin/dise-operator";
const RUNNER: &str = "/usr/local/bin/dise-runner";

fn adds(by: usize) -> Value {
    let source = format!("def run(input):\n    return input + {by}\n");
    json!({
        "steps": [{
            "name": "add",
            "examples": [{"input": 1, "output": 1 + by}],
            "options": [{"name": "code", "function": {"language": "Python", "source": source}}],
        }],
        "evolution": {"keepGenerations": 50},
    })
}

/// The Jobs that worked on each verification request.
async fn jobs_by_request(space: &Namespace) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for job in space.list("batch/v1 Job").await {
        let name = job["metadata"]["name"].as_str().unwrap().to_owned();
        if job["metadata"]["labels"]["dise.dev/role"] != "verify" {
            continue;
        }
        for request in job["metadata"]["annotations"]["dise.dev/blobs"].as_str().unwrap().split(',') {
            found.entry(request.to_owned()).or_default().insert(name.clone());
        }
    }
    found
}

async fn scale_store(space: &Namespace, replicas: i32) {
    let sets: Api<StatefulSet> = Api::namespaced(space.client.clone(), SYSTEM);
    let patch = json!({"spec": {"replicas": replicas}});
    sets.patch("dise-store", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
}

/// Clients that run `steady` all the time, each request on a connection of its own. One that fails is tried again
/// `retries` times, as clients and proxies do with a backend that has just died.
async fn traffic(space: &Namespace, clients: usize, retries: usize) -> Traffic<()> {
    let direct = space.reconnecting("steady").await;
    let call = move || {
        let direct = direct.clone();
        async move {
            let mut outcome = answered(direct.try_run(&json!(1)).await);
            for _ in 0..retries {
                if outcome.is_err() {
                    outcome = answered(direct.try_run(&json!(1)).await);
                }
            }
            outcome.map(|_| ())
        }
    };
    Traffic::start(vec![call; clients], Duration::from_millis(20))
}

/// A pseudo-random pause below two seconds, the same in every run.
fn pause(round: u64) -> Duration {
    Duration::from_millis(round.wrapping_mul(6_364_136_223_846_793_005).rotate_left(17) % 2000)
}

#[tokio::test]
async fn twenty_kills_of_the_operator_lose_and_repeat_nothing() {
    let _alone = ALONE.lock().await;
    if !node::is_own() {
        return;
    }
    Namespace::with("kills", |space| async move {
        space.apply("Workflow", "steady", &adds(1000)).await;
        space.ready("steady").await;
        let traffic = traffic(&space, 2, 0).await;
        for round in 0..20_u64 {
            let number = usize::try_from(round).unwrap();
            space.apply("Workflow", &format!("w{}", number % 5), &adds(number)).await;
            let run = json!({"workflow": "steady", "input": number});
            space.apply("WorkflowRun", &format!("r{number}"), &run).await;
            tokio::time::sleep(pause(round)).await;
            space
                .until("there is an operator to kill", || async {
                    (node::kill(OPERATOR, "") > 0).then_some(())
                })
                .await;
        }
        for number in 0..5 {
            space.ready(&format!("w{number}")).await;
        }
        for number in 0..20 {
            let name = format!("r{number}");
            space.wait("WorkflowRun", &name, "Succeeded", |run| run.status == "True").await;
            assert_eq!(space.get("WorkflowRun", &name).await["status"]["output"], 1000 + number);
        }
        traffic.stop().await.expect_all("clients of steady", 100);

        let repeated: Vec<_> =
            jobs_by_request(&space).await.into_iter().filter(|(_, jobs)| jobs.len() > 1).collect();
        assert!(repeated.is_empty(), "the same work in several Jobs: {repeated:?}");
        let runs = space.list("batch/v1 Job").await;
        let runs = runs.iter().filter(|job| job["metadata"]["labels"]["dise.dev/role"] == "run");
        assert_eq!(runs.count(), 20);
        let recorded = store::keys(&space.client, &format!("artifacts/{}", space.name)).await;
        for artifact in space.list("Artifact").await {
            let key = format!("{}.json", artifact["metadata"]["name"].as_str().unwrap());
            assert!(recorded.contains(&key), "{key} is not in the bucket");
        }
        for number in 15..20 {
            let answer = space.run(&format!("w{}", number % 5), &json!(1)).await;
            assert_eq!(answer.body["output"], 1 + number);
        }
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_away_for_a_minute_stops_no_request_and_loses_no_work() {
    let _alone = ALONE.lock().await;
    if !node::is_own() {
        return;
    }
    Namespace::with("store", |space| async move {
        space.apply("Workflow", "steady", &adds(1)).await;
        space.ready("steady").await;
        let traffic = traffic(&space, 2, 0).await;
        scale_store(&space, 0).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        // An executor that starts anew while the store is away serves from its cache on disk.
        space.apply("Workflow", "late", &adds(2)).await;
        space.apply("Workflow", "steady", &adds(3)).await;
        tokio::time::sleep(Duration::from_secs(50)).await;
        assert_eq!(space.run("steady", &json!(1)).await.body["output"], 2);
        scale_store(&space, 1).await;
        space.ready("late").await;
        space.ready("steady").await;
        traffic.stop().await.expect_all("clients of steady", 500);
        assert_eq!(space.run("steady", &json!(1)).await.body["output"], 4);
        assert_eq!(space.run("late", &json!(1)).await.body["output"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_killed_executor_fails_no_request_that_is_tried_again() {
    let _alone = ALONE.lock().await;
    if !node::is_own() {
        return;
    }
    Namespace::with("executor", |space| async move {
        let mut spec = adds(1);
        spec["serving"] = json!({"mode": "Dedicated", "replicas": 2});
        space.apply("Workflow", "steady", &spec).await;
        space.ready("steady").await;
        let pods = || async {
            let pods = space.list("v1 Pod").await;
            let ready = pods.iter().filter(|pod| pod["metadata"]["labels"]["dise.dev/executor"] == "steady");
            let ready = ready.filter(|pod| pod["status"]["containerStatuses"][0]["ready"] == true);
            (ready.count() == 2).then_some(())
        };
        space.until("two pods are ready", pods).await;
        let traffic = traffic(&space, 4, 1).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let victim = space.list("v1 Pod").await;
            let victim = victim.iter().find(|pod| pod["metadata"]["labels"]["dise.dev/executor"] == "steady");
            let name = victim.unwrap()["metadata"]["name"].as_str().unwrap();
            space.api("v1 Pod").delete(name, &DeleteParams::default()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(3)).await;
            space.until("two pods are ready", pods).await;
        }
        traffic.stop().await.expect_all("clients of steady", 200);
    })
    .await;
}

#[tokio::test]
async fn executors_that_are_killed_serve_again_without_the_operator() {
    let _alone = ALONE.lock().await;
    if !node::is_own() {
        return;
    }
    Namespace::with("cache", |space| async move {
        space.apply("Workflow", "steady", &adds(1)).await;
        space.ready("steady").await;
        scale_store(&space, 0).await;
        assert!(node::kill(RUNNER, "serve") > 0);
        space
            .until("the executor serves from its disk", || async {
                (space.run("steady", &json!(1)).await.status == 200).then_some(())
            })
            .await;
        scale_store(&space, 1).await;
        space.apply("Workflow", "steady", &adds(2)).await;
        space.ready("steady").await;
        assert_eq!(space.run("steady", &json!(1)).await.body["output"], 3);
    })
    .await;
}

#[tokio::test]
async fn a_restart_of_the_kubelet_and_of_the_api_server_is_survived() {
    let _alone = ALONE.lock().await;
    if !node::is_own() {
        return;
    }
    Namespace::with("node", |space| async move {
        space.apply("Workflow", "steady", &adds(1)).await;
        space.ready("steady").await;
        let traffic = traffic(&space, 2, 0).await;
        for (number, component) in [(2, "kubelet"), (3, "apiserver")] {
            node::cluster(&["restart", component]);
            space
                .until("the API server answers", || async {
                    space.client.apiserver_version().await.is_ok().then_some(())
                })
                .await;
            space.apply("Workflow", "steady", &adds(number)).await;
            space.ready("steady").await;
            assert_eq!(space.run("steady", &json!(1)).await.body["output"], 1 + number);
        }
        traffic.stop().await.expect_all("clients of steady", 50);
    })
    .await;
}
