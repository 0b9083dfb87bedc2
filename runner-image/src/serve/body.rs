//! The body of a run request.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt as _;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::problem::Problem;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is still read, and dropped, of a body that is too large: a client that sends into a closed connection does
/// not come to read why.
const DROPPED_BYTES: usize = 64 << 20;
const DROPPED_FOR: Duration = Duration::from_secs(5);

/// What is executed with what.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunRequest {
    /// The input of the workflow.
    pub input: Value,
    /// The milliseconds that the execution may take, if not those of its steps.
    #[serde(default)]
    pub deadline_ms: Option<u32>,
}

/// Reads a body of `limit` bytes at most. A client that `waits` to be told to send its body is not told to when the
/// body is too large.
///
/// # Errors
/// 400, 408 or 413.
pub async fn read(body: Body, declared: Option<usize>, waits: bool, limit: usize) -> Result<Bytes, Problem> {
    let mut parts = body.into_data_stream();
    let too_large = declared.is_some_and(|length| length > limit);
    if too_large && waits {
        return Err(Problem::too_large(limit));
    }
    let content = if too_large { Ok(Ok(None)) } else { timeout(PATIENCE, collect(&mut parts, limit)).await };
    match content {
        Ok(Ok(Some(content))) => Ok(content),
        Ok(Ok(None)) => {
            let _ = timeout(DROPPED_FOR, drop_rest(parts)).await;
            Err(Problem::too_large(limit))
        }
        Ok(Err(error)) => Err(Problem::invalid_request(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Problem::slow_body()),
    }
}

/// All parts as one, without a copy when there is only one; nothing when they exceed `limit`.
async fn collect(parts: &mut BodyDataStream, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let first = parts.try_next().await?.unwrap_or_default();
    if first.len() > limit {
        return Ok(None);
    }
    let Some(second) = parts.try_next().await? else { return Ok(Some(first)) };
    let mut content = BytesMut::from(first);
    let mut next = Some(second);
    while let Some(part) = next {
        if content.len() + part.len() > limit {
            return Ok(None);
        }
        content.extend_from_slice(&part);
        next = parts.try_next().await?;
    }
    Ok(Some(content.freeze()))
}

async fn drop_rest(mut parts: BodyDataStream) {
    let mut dropped = 0;
    while let Ok(Some(part)) = parts.try_next().await {
        dropped += part.len();
        if dropped > DROPPED_BYTES {
            return;
        }
    }
}

/// Parses a request.
///
/// # Errors
/// 400 with the line and column, or the field that is unknown.
pub fn parse(content: &[u8]) -> Result<RunRequest, Problem> {
    const HINT: &str = r#"expected {"input": …, "deadlineMs": …}, the latter optional"#;
    // Serde would take the elements for the fields.
    if content.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::invalid_request(format!("the body is not a request but an array; {HINT}")));
    }
    let request: RunRequest = serde_json::from_slice(content).map_err(|error| {
        let fault = if error.is_data() { "not a request" } else { "not JSON" };
        Problem::invalid_request(format!("the body is {fault}: {error}; {HINT}"))
    })?;
    if request.deadline_ms == Some(0) {
        return Err(Problem::invalid_request("deadlineMs must be at least 1"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_input_and_deadline() {
        let request = parse(br#"{"input": {"n": 1}, "deadlineMs": 250}"#).unwrap();
        assert_eq!(request, RunRequest { input: json!({"n": 1}), deadline_ms: Some(250) });
    }

    #[test]
    fn says_what_is_wrong_and_where() {
        for (body, words) in [
            (&br#"{"input": 1, "pressure": "High"}"#[..], &["`pressure`", "line 1 column 23"][..]),
            (b"{\"input\":\n 1,}", &["not JSON", "line 2"]),
            (b"", &["not JSON"]),
            (b"{}", &["`input`"]),
            (b" [{}, 5]", &["not a request", "array"]),
            (br#"{"input": 1, "deadlineMs": 0}"#, &["deadlineMs"]),
            (br#"{"input": 1, "deadlineMs": -5}"#, &["-5"]),
        ] {
            let problem = parse(body).unwrap_err();
            assert_eq!(problem.status, 400);
            for word in words {
                assert!(problem.detail.contains(word), "{word}: {}", problem.detail);
            }
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_too_large() {
        let parts = |parts: &[&'static str]| {
            let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::convert::Infallible>(*part)).collect();
            Body::from_stream(futures::stream::iter(parts))
        };
        assert_eq!(read(Body::from("12345"), Some(5), false, 4).await.unwrap_err().status, 413);
        assert_eq!(read(Body::from("12345"), None, false, 4).await.unwrap_err().status, 413);
        assert_eq!(read(parts(&["12", "34", "5"]), None, false, 4).await.unwrap_err().status, 413);
        assert_eq!(read(Body::from("1234"), None, false, 4).await.unwrap(), "1234");
        assert_eq!(read(parts(&["12", "3", "4"]), None, false, 4).await.unwrap(), "1234");
        assert_eq!(read(Body::empty(), None, false, 4).await.unwrap(), "");
    }

    #[tokio::test]
    async fn the_rest_of_what_is_too_large_is_taken_unless_the_client_waits() {
        let (sender, body) = futures::channel::mpsc::channel(0);
        let body = Body::from_stream(body);
        let sending = async move {
            let parts = futures::stream::iter(["12345", "678", "9"]).map(Ok::<_, axum::Error>).map(Ok);
            parts.forward(sender).await.is_ok()
        };
        let (complete, answer) = tokio::join!(sending, read(body, Some(9), false, 4));
        assert!(complete);
        assert_eq!(answer.unwrap_err().status, 413);

        let never = Body::from_stream(futures::stream::pending::<Result<Bytes, axum::Error>>());
        assert_eq!(read(never, Some(9), true, 4).await.unwrap_err().status, 413);
    }
}
