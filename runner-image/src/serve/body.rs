//! The body of a run request.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::problem::Problem;

/// How long a client may take to send a body.
const PATIENCE: Duration = Duration::from_secs(30);

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

/// Reads a body of `limit` bytes at most.
///
/// # Errors
/// 400, 408 or 413.
pub async fn read(body: Body, declared: Option<usize>, limit: usize) -> Result<Bytes, Problem> {
    if declared.is_some_and(|length| length > limit) {
        return Err(Problem::too_large(limit));
    }
    match timeout(PATIENCE, to_bytes(body, limit)).await {
        Ok(Ok(content)) => Ok(content),
        Ok(Err(error)) if is_length_limit(&error) => Err(Problem::too_large(limit)),
        Ok(Err(error)) => Err(Problem::invalid_request(format!("the body cannot be read: {error}"))),
        Err(_) => Err(Problem::slow_body()),
    }
}

fn is_length_limit(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(|cause| cause.to_string().contains("length limit"))
}

/// Parses a request.
///
/// # Errors
/// 400 with the line and column, or the field that is unknown.
pub fn parse(content: &[u8]) -> Result<RunRequest, Problem> {
    let request: RunRequest = serde_json::from_slice(content).map_err(|error| {
        let fault = if error.is_data() { "not a request" } else { "not JSON" };
        let hint = r#"expected {"input": …, "deadlineMs": …}, the latter optional"#;
        Problem::invalid_request(format!("the body is {fault}: {error}; {hint}"))
    })?;
    if request.deadline_ms == Some(0) {
        return Err(Problem::invalid_request("deadlineMs must be at least 1"));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
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
        assert_eq!(read(Body::from("12345"), Some(5), 4).await.unwrap_err().status, 413);
        assert_eq!(read(Body::from("12345"), None, 4).await.unwrap_err().status, 413);
        assert_eq!(read(Body::from("1234"), None, 4).await.unwrap(), "1234");
    }
}
