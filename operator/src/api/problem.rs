//! Errors of the API, as RFC 9457 problem details.

use axum::{
    Json,
    extract::rejection::JsonRejection,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
};
use dise_core::digest::ParseDigestError;
use serde_json::json;

use crate::store::StoreError;

/// Why a request was not answered.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    /// 400: the request itself is wrong.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, detail: detail.into() }
    }

    /// 401: we do not know who asks.
    pub fn unauthorized(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, detail: detail.into() }
    }

    /// 403: we know who asks, and it may not.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, detail: detail.into() }
    }

    /// 404: no such thing that the caller may see.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, detail: detail.into() }
    }

    /// 503: something that is needed does not answer now. Retry.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: detail.into() }
    }

    /// 503: the Kubernetes API cannot be asked now. Retry.
    pub fn kubernetes(fault: &kube::Error) -> Self {
        tracing::warn!(%fault, "the Kubernetes API did not answer for a caller");
        Self { status: StatusCode::SERVICE_UNAVAILABLE, detail: "the Kubernetes API is unavailable".into() }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<JsonRejection> for Problem {
    fn from(fault: JsonRejection) -> Self {
        Self::invalid(fault.body_text())
    }
}

impl From<ParseDigestError> for Problem {
    fn from(fault: ParseDigestError) -> Self {
        Self::invalid(fault.to_string())
    }
}

impl From<StoreError> for Problem {
    fn from(fault: StoreError) -> Self {
        tracing::warn!(%fault, "the object store failed a caller");
        let status = match fault {
            StoreError::Corrupt { .. } => StatusCode::INTERNAL_SERVER_ERROR,
            StoreError::Open { .. } | StoreError::Credentials | StoreError::Access { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        Self { status, detail: "the object store could not serve the request".into() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let body = json!({"type": "about:blank", "title": title, "status": self.status.as_u16(), "detail": self.detail});
        (self.status, [(CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
    }
}
