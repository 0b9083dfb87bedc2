//! Errors as RFC 9457 problem documents.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::{Serialize, Serializer};

use crate::engine::{Failure, Kind};

/// The media type of a problem document.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Seconds after which a request that was shed may be sent again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A problem document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// A URN of the kind of problem, `urn:dise:problem:` and the reason.
    #[serde(rename = "type")]
    pub kind: Urn,
    /// The kind of problem for a person.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time.
    pub detail: Box<str>,
    /// The execution that it happened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<Box<str>>,
    /// A stable `CamelCase` word.
    pub reason: &'static str,
    /// The step that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Box<str>>,
    /// JSON pointer into the value that does not fit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Box<str>>,
    #[serde(skip)]
    retry: bool,
    #[serde(skip)]
    close: bool,
}

/// The URN of a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Urn(&'static str);

impl Serialize for Urn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("urn:dise:problem:{}", self.0))
    }
}

impl Problem {
    fn new(status: StatusCode, reason: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: Urn(reason),
            title,
            status: status.as_u16(),
            detail: detail.into().into(),
            instance: None,
            reason,
            step: None,
            pointer: None,
            retry: false,
            close: false,
        }
    }

    /// 400: the body is not a request.
    #[must_use]
    pub fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequest", "The body is not a request", detail)
    }

    /// 404: there is no such workflow, and this is how to name one.
    #[must_use]
    pub fn unknown_workflow(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "UnknownWorkflow", "No such workflow is served here", detail)
    }

    /// 404: there is no such path.
    #[must_use]
    pub fn unknown_path(path: &str) -> Self {
        let detail = format!(
            "there is nothing at {path}; POST /v1/run or /v1/workflows/{{name}}/run executes a workflow and \
             GET /openapi.json describes all of them"
        );
        Self::new(StatusCode::NOT_FOUND, "UnknownPath", "No such path", detail)
    }

    /// 405.
    #[must_use]
    pub fn wrong_method(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "WrongMethod", "The path has another method", detail)
    }

    /// 408: the body did not arrive in time.
    #[must_use]
    pub fn slow_body() -> Self {
        let detail = "the body did not arrive within 30 s";
        let problem =
            Self::new(StatusCode::REQUEST_TIMEOUT, "SlowRequest", "The body did not arrive", detail);
        Self { close: true, ..problem }
    }

    /// 409: the workflow is known and has no plan that can serve.
    #[must_use]
    pub fn not_ready(workflow: &str, fault: Option<&str>) -> Self {
        let detail = match fault {
            Some(fault) => format!("the plan of `{workflow}` could not be taken up: {fault}"),
            None => format!("the plan of `{workflow}` is being loaded"),
        };
        let problem = Self::new(StatusCode::CONFLICT, "PlanNotReady", "The workflow has no plan yet", detail);
        Self { retry: fault.is_none(), ..problem }
    }

    /// 413.
    #[must_use]
    pub fn too_large(limit: usize) -> Self {
        let detail = format!("the body is larger than {limit} bytes; pass a reference to the data instead");
        let problem = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TooLarge", "The body is too large", detail);
        // The rest of the body would have to be read to keep the connection.
        Self { close: true, ..problem }
    }

    /// 429: too much is going on.
    #[must_use]
    pub fn overloaded(detail: impl Into<String>) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "Overloaded", "Too many requests", detail);
        Self { retry: true, ..problem }
    }

    /// 503: the process is about to end.
    #[must_use]
    pub fn draining() -> Self {
        let detail = "this executor is shutting down and takes no more requests; another one will";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "Draining", "Shutting down", detail);
        Self { retry: true, close: true, ..problem }
    }

    /// 503: a probe's answer.
    #[must_use]
    pub fn unready(detail: &str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "NotReady", "Not ready", detail)
    }

    /// 500: a defect of this program.
    #[must_use]
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal", "The runner is at fault", detail)
    }

    /// 400, 502, 503 or 504: what an execution came to.
    #[must_use]
    pub fn failure(failure: Failure, run_id: Option<&str>) -> Self {
        let (status, title) = match failure.kind {
            Kind::Input => (StatusCode::BAD_REQUEST, "The input does not fit the workflow's schema"),
            Kind::Step => (StatusCode::BAD_GATEWAY, "A step failed"),
            Kind::Deadline => (StatusCode::GATEWAY_TIMEOUT, "The time is up"),
            Kind::Runner => (StatusCode::SERVICE_UNAVAILABLE, "The runner cannot run functions"),
        };
        Self {
            instance: run_id.map(|id| format!("urn:uuid:{id}").into()),
            step: failure.step.map(Into::into),
            pointer: failure.pointer.map(Into::into),
            retry: failure.kind == Kind::Runner,
            ..Self::new(status, failure.reason, title, failure.message)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if self.retry {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
