//! Measurements, for `cargo test --release -p dise-runner --test serve -- --ignored --nocapture measuring`.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use axum::{Json, Router, routing::post};
use dise_core::plan::Plan;
use serde_json::{Value, json};

use crate::{
    commands::Pod,
    harness::{ECHO, Executor, check, client, eventually, plan, simple, step},
    operator::FakeOperator,
};

const SAMPLES: usize = 3000;

/// Sorted latencies of one request after the other over one connection, without a client library in between.
fn latencies(address: &str, path: &str, status: &str) -> Vec<Duration> {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.set_nodelay(true).unwrap();
    let body = r#"{"input": {"text": "hello"}}"#;
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut buffer = vec![0; 65536];
    let mut samples: Vec<_> = (0..SAMPLES)
        .map(|_| {
            let began = Instant::now();
            connection.write_all(request.as_bytes()).unwrap();
            let length = connection.read(&mut buffer).unwrap();
            let elapsed = began.elapsed();
            let head = format!("HTTP/1.1 {status}");
            assert!(buffer.starts_with(head.as_bytes()), "{}", String::from_utf8_lossy(&buffer[..length]));
            elapsed
        })
        .skip(SAMPLES / 10)
        .collect();
    samples.sort();
    samples
}

fn show(what: &str, samples: &[Duration]) -> Duration {
    let at = |share: f64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let index = (samples.len() as f64 * share) as usize;
        samples[index]
    };
    println!("{what}: p50 {:?}, p95 {:?}, p99 {:?}", at(0.5), at(0.95), at(0.99));
    at(0.5)
}

fn chain(operator: &FakeOperator) -> Plan {
    let mut steps: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|name| step(name, operator.add_function(&format!("# {name}\n{ECHO}"))))
        .collect();
    for (next, before) in [(1, "a"), (2, "b")] {
        steps[next].depends_on = vec![before.into()];
        steps[next].input = json!(format!("${{steps.{before}}}"));
    }
    plan("chain", steps)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn the_latency_above_a_bare_handler() {
    let operator = FakeOperator::default();
    let mut typed = simple(&operator, "typed", ECHO);
    typed.input = json!({"type": "string"});
    operator.publish(&[simple(&operator, "echo", ECHO), chain(&operator), typed]);
    let executor = Executor::start(&operator, &[]).await;
    let address = executor.url.trim_start_matches("http://").to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bare_address = listener.local_addr().unwrap().to_string();
    let bare = Router::new().route("/", post(async |Json(body): Json<Value>| Json(body)));
    tokio::spawn(async move { axum::serve(listener, bare).await.unwrap() });

    tokio::task::spawn_blocking(move || {
        let floor = show("bare axum", &latencies(&bare_address, "/", "200"));
        let one = show("one step", &latencies(&address, "/v1/workflows/echo/run", "200"));
        show("refused before any step", &latencies(&address, "/v1/workflows/typed/run", "400"));
        let three = show("three steps", &latencies(&address, "/v1/workflows/chain/run", "200"));
        println!(
            "one step costs {:?} above bare, a further step {:?}",
            one.saturating_sub(floor),
            three.saturating_sub(one) / 2
        );
    })
    .await
    .unwrap();
}

fn memory_kib(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A workflow as people write them: three steps with schemas, checks and expressions of its own.
fn typical(operator: &FakeOperator, number: usize) -> Plan {
    let source = format!("# {number}\n{}{ECHO}", "# some forty characters of a comment line\n".repeat(50));
    let mut plan = chain(operator);
    plan.workflow = format!("flow-{number}");
    plan.input = json!({"type": "object", "required": ["text"], "properties": {
        "text": {"type": "string", "maxLength": 1000 + number}, "tags": {"type": "array", "items": {"type": "string"}}}});
    for (index, step) in plan.steps.iter_mut().enumerate() {
        step.options[0].function = operator.add_function(&format!("# {index}\n{source}"));
        step.output = json!({"type": "object", "required": ["text"], "properties": {
            "text": {"type": "string", "maxLength": 2000 + number}, "label": {"enum": ["a", "b", "c"]}}});
        step.checks = vec![
            check("short", "size(output.text) < 1000"),
            check("label", "!has(output.label) || output.label in ['a', 'b', 'c']"),
        ];
    }
    plan.result =
        json!({"text": "${steps.c.text}", "size": "${size(steps.c.text)}", "line": "got ${input.text}!"});
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures"]
async fn the_memory_of_three_hundred_idle_workflows() {
    let pod = Pod::new().await;
    let (child, url) = pod.serve().await;
    let (process, client) = (child.id().unwrap(), client());
    let before = memory_kib(process, "VmRSS");
    let plans: Vec<_> = (0..300).map(|number| typical(&pod.operator, number)).collect();
    let began = Instant::now();
    pod.operator.publish(&plans);
    let count = async || {
        let report: Value =
            client.get(format!("{url}/v1/workflows")).send().await.unwrap().json().await.unwrap();
        report["workflows"].as_object().unwrap().values().filter(|state| state["serving"].is_string()).count()
    };
    eventually("all serving", async || count().await == 300).await;
    let elapsed = began.elapsed();
    println!(
        "300 workflows of 3 steps in {elapsed:?}: {before} KiB before, {} KiB after, {} KiB at most",
        memory_kib(process, "VmRSS"),
        memory_kib(process, "VmHWM")
    );
}
