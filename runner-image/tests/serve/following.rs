//! Following the operator's list: new plans, bad plans, many plans, and no operator at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use dise_core::plan::Plan;
use serde_json::{Value, json};
use tokio::{net::TcpListener, time::sleep};

use crate::{
    harness::{ECHO, Executor, eventually, folder, plan, simple, step},
    operator::FakeOperator,
};

fn version(operator: &FakeOperator, number: usize) -> Plan {
    simple(operator, "versions", &format!("def run(input):\n    return {number}\n"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_plans_under_load_fail_no_request() {
    let operator = FakeOperator::default();
    operator.publish(&[version(&operator, 0)]);
    let executor = Arc::new(Executor::start(&operator, &[]).await);
    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..6)
        .map(|_| {
            let (executor, over, answered) =
                (Arc::clone(&executor), Arc::clone(&over), Arc::clone(&answered));
            tokio::spawn(async move {
                let mut newest = 0;
                while !over.load(Relaxed) {
                    let (status, result) = executor.run("versions", &json!({})).await;
                    assert_eq!(status, 200, "{result}");
                    newest = newest.max(result["output"].as_u64().unwrap());
                    answered.fetch_add(1, Relaxed);
                }
                newest
            })
        })
        .collect();

    for number in 1..=20 {
        operator.publish(&[version(&operator, number)]);
        sleep(Duration::from_millis(60)).await;
    }
    executor.until_serving(&version(&operator, 20)).await;
    let (_, last) = executor.run("versions", &json!({})).await;
    over.store(true, Relaxed);

    assert_eq!(last["output"], 20);
    for client in clients {
        assert!(client.await.unwrap() >= 1, "a client saw no new plan");
    }
    let answered = answered.load(Relaxed);
    println!("{answered} requests over 20 new plans, none failed");
    assert!(answered > 20);
}

#[tokio::test]
async fn a_plan_that_cannot_be_taken_up_leaves_the_former_serving() {
    let operator = FakeOperator::default();
    let good = version(&operator, 1);
    operator.publish(std::slice::from_ref(&good));
    let executor = Executor::start(&operator, &[]).await;
    executor.until_serving(&good).await;

    let mut bad = version(&operator, 2);
    bad.steps[0].output = json!({"type": "no-such-type"});
    operator.publish(std::slice::from_ref(&bad));

    eventually("at fault", async || executor.report().await["versions"]["fault"].is_string()).await;
    let state = executor.report().await["versions"].clone();
    assert_eq!(state["serving"], good.digest().unwrap().to_string());
    assert!(state["fault"].as_str().unwrap().contains("step `only`: the schema of the output"), "{state}");
    assert_eq!(executor.run("versions", &json!({})).await.1["output"], 1);

    let better = version(&operator, 3);
    operator.publish(std::slice::from_ref(&better));
    executor.until_serving(&better).await;
    assert_eq!(executor.report().await["versions"].get("fault"), None);
}

#[tokio::test]
async fn a_plan_whose_code_is_late_is_taken_up_when_it_arrives() {
    let operator = FakeOperator::default();
    let plan = version(&operator, 1);
    let function = plan.steps[0].options[0].function;
    let code = operator.script().blobs.remove(&function).unwrap();
    operator.publish(std::slice::from_ref(&plan));
    let executor = Executor::start(&operator, &[]).await;
    assert!(executor.report().await["versions"]["fault"].as_str().unwrap().contains("does not have"));

    operator.script().blobs.insert(function, code);

    executor.until_serving(&plan).await;
}

#[tokio::test]
async fn a_workflow_that_is_no_longer_listed_is_not_served() {
    let operator = FakeOperator::default();
    operator.publish(&[version(&operator, 1), simple(&operator, "echo", ECHO)]);
    let executor = Executor::start(&operator, &[]).await;

    operator.list(|list| list.retain(|name, _| name == "echo"));

    eventually("dropped", async || executor.report().await.get("versions").is_none()).await;
    assert_eq!(executor.run("versions", &json!({})).await.0, 404);
    assert_eq!(executor.run("echo", &json!(5)).await.1["output"], 5);
}

#[tokio::test]
async fn a_restart_without_the_operator_serves_from_the_disk_cache() {
    let operator = FakeOperator::default();
    operator.publish(&[version(&operator, 1)]);
    let mut first = Executor::start(&operator, &[]).await;
    first.until_serving(&version(&operator, 1)).await;
    first.end().await;
    let dir = std::mem::replace(&mut first.dir, folder());

    // A port that is bound and does not accept is what a dead node looks like.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let began = Instant::now();
    let second = Executor::start_in(dir, &url, &[]);
    second.until_ready().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    assert_eq!(second.run("versions", &json!({})).await.1["output"], 1);

    operator.publish(&[version(&operator, 2)]);
    operator.serve(silent);
    second.until_serving(&version(&operator, 2)).await;
    assert_eq!(second.run("versions", &json!({})).await.1["output"], 2);
}

#[tokio::test]
async fn a_namespace_without_workflows_is_ready_at_once() {
    let operator = FakeOperator::default();
    let executor = Executor::start(&operator, &[]).await;
    assert_eq!(executor.report().await, json!({}));
    operator.publish(&[version(&operator, 1)]);
    executor.until_serving(&version(&operator, 1)).await;
}

#[tokio::test]
async fn without_operator_and_cache_it_waits_alive_but_not_ready() {
    let operator = FakeOperator::default();
    operator.publish(&[version(&operator, 1)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let executor = Executor::start_in(folder(), &format!("http://{address}"), &[]);

    eventually("alive", async || executor.get("/healthz").await.status() == 200).await;
    let response = executor.get("/readyz").await;
    assert_eq!(response.status(), 503);
    let problem: Value = response.json().await.unwrap();
    assert!(problem["detail"].as_str().unwrap().contains("operator"), "{problem}");

    operator.serve(TcpListener::bind(address).await.unwrap());
    executor.until_ready().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_plans_at_once_are_taken_up_quickly_and_each_function_once() {
    let operator = FakeOperator::default();
    operator.publish(&[version(&operator, 1)]);
    let executor = Executor::start(&operator, &[]).await;
    let shared = operator.add_function(ECHO);
    let plans: Vec<_> =
        (0..300).map(|number| plan(&format!("flow-{number}"), vec![step("only", shared)])).collect();

    let began = Instant::now();
    operator.publish(&plans);
    let served = async || {
        let report = executor.report().await;
        report.as_object().unwrap().values().filter(|state| state["serving"].is_string()).count()
    };
    eventually("all serving", async || served().await == 301).await;

    println!("300 plans in {:?}", began.elapsed());
    assert_eq!(operator.script().asked[&shared], 1);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}
