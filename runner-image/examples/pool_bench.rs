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

const SOURCE: &str = r#"
import re
WORD = re.compile(r"[a-z]+")
GOOD = {"good", "great", "fine"}
def run(input):
    words = WORD.findall(input["text"].lower())
    score = sum(word in GOOD for word in words)
    return {"label": "positive" if score else "neutral", "score": score}
"#;
const INPUT: &str = r#"{"text": "A good day, and a fine evening with great company in the old town."}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let seconds: f64 = std::env::args().nth(1).map_or(Ok(3.0), |text| text.parse())?;
    let workers = Workers::new(Settings::default())?;
    let callable = Callable::new(Function { language: Language::Python, source: SOURCE.to_owned() });
    let limits = Limits::default();
    let start = Instant::now();
    workers.load("bench", &callable, &limits, start + Duration::from_secs(10)).await?;
    println!("first worker ready after {:.1} ms", start.elapsed().as_secs_f64() * 1e3);
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
    let (limits, input) = (Limits::default(), Bytes::from_static(INPUT.as_bytes()));
    let mut latencies = Vec::new();
    loop {
        let start = Instant::now();
        if start >= end {
            return latencies;
        }
        let deadline = start + Duration::from_secs(10);
        if let Err(error) = workers.call("bench", &callable, &limits, input.clone(), deadline).await {
            println!("{error}");
            return latencies;
        }
        latencies.push(start.elapsed());
    }
}
