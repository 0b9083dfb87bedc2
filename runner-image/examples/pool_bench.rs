//! Measures what a call of a jailed function costs.
//!
//! `cargo run --release -p dise-runner --example pool_bench -- [seconds]`

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use dise_core::function::{Function, Language, Limits};
use dise_runner::workers::{Callable, Settings, Workers};

/// A function of about 10 µs; the bench says what it costs where it runs.
const SOURCE: &str = r#"
import re
import time
WORD = re.compile(r"[a-z]+")
GOOD = {"good", "great", "fine"}
BAD = {"bad", "poor", "awful"}

def classify(text):
    words = WORD.findall(text.lower())
    score = sum((word in GOOD) - (word in BAD) for word in words)
    return {"label": "positive" if score > 0 else "neutral", "score": score}

def run(input):
    if "repeat" not in input:
        return classify(input["text"])
    start = time.perf_counter()
    for _ in range(input["repeat"]):
        classify(input["text"])
    return (time.perf_counter() - start) / input["repeat"] * 1e6
"#;
const SENTENCE: &str = "A good day, and a fine evening with great company in the old town. ";
const SENTENCES: usize = 6;
const OUTPUT: &[u8] = br#"{"label":"positive","score":18}"#;

fn input(repeat: Option<u32>) -> Bytes {
    let text = SENTENCE.repeat(SENTENCES);
    let input = match repeat {
        Some(repeat) => serde_json::json!({ "text": text, "repeat": repeat }),
        None => serde_json::json!({ "text": text }),
    };
    input.to_string().into()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(3.0), |text| text.parse())?;
    let workers = Workers::new(Settings::default())?;
    let callable = Callable::new(Function { language: Language::Python, source: SOURCE.to_owned() });
    let limits = Limits::default();
    let start = Instant::now();
    workers.load("bench", &callable, &limits, start + Duration::from_secs(10)).await?;
    println!("first worker ready after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
    let deadline = Instant::now() + Duration::from_secs(10);
    let cost = workers.call("bench", &callable, &limits, input(Some(20_000)), deadline).await?;
    println!("the function itself takes {:.1} µs", cost.value()?.as_f64().unwrap_or_default());
    for callers in [1, 4, 16, 64] {
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let started = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| tokio::spawn(call_until(Arc::clone(&workers), Arc::clone(&callable), end)))
            .collect();
        let mut latencies = Vec::new();
        for task in tasks {
            latencies.extend(task.await?);
        }
        latencies.sort_unstable();
        let at = |percent: usize| latencies.get(latencies.len() * percent / 100).copied().unwrap_or_default();
        let calls = u32::try_from(latencies.len())?;
        let rate = f64::from(calls) / started.elapsed().as_secs_f64();
        println!(
            "{callers:>3} callers: {rate:>7.0} calls/s, p50 {:?}, p95 {:?}, p99 {:?}",
            at(50),
            at(95),
            at(99)
        );
    }
    println!("{:?}", workers.stats());
    workers.shutdown().await;
    Ok(())
}

async fn call_until(workers: Arc<Workers>, callable: Arc<Callable>, end: Instant) -> Vec<Duration> {
    let (limits, input) = (Limits::default(), input(None));
    let mut latencies = Vec::new();
    loop {
        let start = Instant::now();
        if start >= end {
            return latencies;
        }
        let deadline = start + Duration::from_secs(10);
        match workers.call("bench", &callable, &limits, input.clone(), deadline).await {
            Ok(reply) => assert_eq!(reply.output, OUTPUT, "a wrong answer counts for nothing"),
            Err(error) => {
                println!("{error}");
                return latencies;
            }
        }
        latencies.push(start.elapsed());
    }
}
