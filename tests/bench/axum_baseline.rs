//! The limit of a served call on this machine: a bare axum handler that parses the body and gives a fixed answer.
//!
//! `cargo run --release -p dise-tests --example axum_baseline -- 127.0.0.1:8080 '{"output": 1}'`

use std::sync::Arc;

use anyhow::Context as _;
use axum::{Json, Router, routing::post};
use serde_json::Value;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut args = std::env::args().skip(1);
    let address = args.next().context("usage: axum_baseline ADDRESS ANSWER")?;
    let answer: Arc<Value> = Arc::new(serde_json::from_str(&args.next().context("no answer is given")?)?);
    let handler = async move |Json(_): Json<Value>| Json(answer);
    let router = Router::new().route("/v1/run", post(handler));
    axum::serve(tokio::net::TcpListener::bind(address).await?, router).await?;
    Ok(())
}
