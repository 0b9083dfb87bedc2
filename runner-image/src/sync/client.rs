//! The HTTP client of the operator's `/v1` API.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use dise_core::{
    causes,
    digest::Digest,
    synthesis::SynthesisReport,
    verification::VerificationReport,
    wire::{
        CallClaim, CallGrant, CallOutcome, PlanList, ProbeReport, Progress, Recollection, RunAssignment,
        RunResult, UsageReport,
    },
};
use reqwest::{Certificate, Method, Response, StatusCode, Url, redirect};
use serde::{Serialize, de::DeserializeOwned};

const CONNECT: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(20);

/// The largest answer that is read: nothing that the operator stores for a runner comes near it.
const ANSWER_BYTES: usize = 64 << 20;

/// The most that a message repeats of an answer that is not a success.
const DETAIL_BYTES: usize = 500;

/// Where the operator is and how to be let in.
#[derive(Clone, Debug)]
pub struct Access {
    /// Base URL of the API, without `/v1`.
    pub url: String,
    /// PEM certificates, one of which must have signed the operator's. Nothing else is trusted.
    pub ca: String,
    /// The file that the kubelet keeps a fresh service-account token in.
    pub token_file: PathBuf,
}

/// A client of one operator. Connections are kept and shared.
#[derive(Debug)]
pub struct Operator {
    http: reqwest::Client,
    base: Url,
    token_file: PathBuf,
}

/// Why the operator did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// The settings cannot work.
    #[error("{0}")]
    Settings(String),
    /// There is no token to show.
    #[error(
        "cannot read the token at {path}: {source}; check that the pod mounts a projected service-account \
         token with the audience `dise-operator` there"
    )]
    Token {
        /// Where it should be.
        path: PathBuf,
        /// What happened.
        source: io::Error,
    },
    /// The operator did not answer.
    #[error("the operator at {url} did not answer: {message}")]
    Unreachable {
        /// Base URL.
        url: String,
        /// The chain of causes.
        message: String,
    },
    /// 401 or 403.
    #[error("the operator refused {what} ({status}): {hint}{detail}")]
    Refused {
        /// Method and path.
        what: String,
        /// The status.
        status: StatusCode,
        /// What to check.
        hint: &'static str,
        /// What the operator said.
        detail: String,
    },
    /// 404.
    #[error("the operator does not have {what}{detail}")]
    NotFound {
        /// Method and path.
        what: String,
        /// What the operator said.
        detail: String,
    },
    /// The disk cache alone was asked.
    #[error("the blob {0} is not in the disk cache")]
    NotCached(Digest),
    /// Any other status that is not a success.
    #[error("the operator answered {what} with {status}{detail}")]
    Status {
        /// Method and path.
        what: String,
        /// The status.
        status: StatusCode,
        /// What the operator said.
        detail: String,
    },
    /// An answer that is not what it should be.
    #[error("the operator's answer to {what} is unusable: {fault}")]
    Malformed {
        /// Method and path.
        what: String,
        /// What is wrong with it.
        fault: String,
    },
}

impl OperatorError {
    /// Whether the same request may succeed soon without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Settings(_) | Self::Token { .. } | Self::Refused { .. } | Self::NotFound { .. } => false,
            Self::Unreachable { .. } | Self::NotCached(_) | Self::Malformed { .. } => true,
            Self::Status { status, .. } => {
                status.is_server_error()
                    || *status == StatusCode::TOO_MANY_REQUESTS
                    || *status == StatusCode::REQUEST_TIMEOUT
            }
        }
    }
}

impl Operator {
    /// A client that trusts the given authority only.
    ///
    /// # Errors
    /// A URL that is none, an authority that is no PEM certificate, or https without an authority.
    pub fn new(access: &Access) -> Result<Self, OperatorError> {
        let base = Url::parse(&access.url)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && !url.cannot_be_a_base())
            .ok_or_else(|| {
                OperatorError::Settings(format!("DISE_OPERATOR_URL is not an http(s) URL: `{}`", access.url))
            })?;
        let authorities = Certificate::from_pem_bundle(access.ca.as_bytes()).map_err(|error| {
            OperatorError::Settings(format!("DISE_OPERATOR_CA is not a PEM certificate: {}", causes(&error)))
        })?;
        if base.scheme() == "https" && authorities.is_empty() {
            return Err(OperatorError::Settings(
                "DISE_OPERATOR_CA holds no certificate, so that the operator's cannot be checked".into(),
            ));
        }
        let http = reqwest::Client::builder()
            .tls_certs_only(authorities)
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none())
            .no_proxy()
            .user_agent(concat!("dise-runner/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| OperatorError::Settings(causes(&error)))?;
        Ok(Self { http, base, token_file: access.token_file.clone() })
    }

    /// The plans that this pod may serve: at once when the list is not of `revision`, else after `wait` at most.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn plans(&self, revision: &str, wait: Duration) -> Result<PlanList, OperatorError> {
        let mut url = self.url(&["v1", "plans"]);
        url.query_pairs_mut()
            .append_pair("revision", revision)
            .append_pair("waitSeconds", &wait.as_secs().to_string());
        let what = "GET /v1/plans";
        let answer = self.send(Method::GET, url, what, wait + REQUEST, None::<&()>).await?;
        self.parse(what, answer).await
    }

    /// The blob of this digest, verified.
    ///
    /// # Errors
    /// See [`OperatorError`]; content of another digest is malformed.
    pub async fn blob(&self, digest: &Digest) -> Result<Bytes, OperatorError> {
        let what = format!("GET /v1/blobs/{digest}");
        let url = self.url(&["v1", "blobs", &digest.to_string()]);
        let answer = self.send(Method::GET, url, &what, REQUEST, None::<&()>).await?;
        let content = self.read(&what, answer).await?;
        if Digest::of(&content) != *digest {
            let fault = format!("its content has the digest {}", Digest::of(&content));
            return Err(OperatorError::Malformed { what, fault });
        }
        Ok(content)
    }

    /// What the run of this name shall execute.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn run(&self, name: &str) -> Result<RunAssignment, OperatorError> {
        self.ask(Method::GET, &["v1", "runs", name], None::<&()>).await
    }

    /// Delivers what a run came to.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn put_result(&self, name: &str, result: &RunResult) -> Result<(), OperatorError> {
        self.put(&["v1", "runs", name, "result"], result).await
    }

    /// Delivers what a verification found.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn put_verification(&self, report: &VerificationReport) -> Result<(), OperatorError> {
        self.put(&["v1", "verifications", &report.request.to_string()], report).await
    }

    /// Delivers the counters of the process `boot`.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn put_usage(&self, boot: &str, report: &UsageReport) -> Result<(), OperatorError> {
        self.put(&["v1", "usage", boot], report).await
    }

    /// The functions that may solve the task of a search already.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn recall(&self, search: &Digest) -> Result<Recollection, OperatorError> {
        let path = ["v1", "syntheses", &search.to_string(), "recall"];
        self.ask(Method::GET, &path, None::<&()>).await
    }

    /// Asks for leave to call a model on behalf of a search.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn claim(
        &self,
        search: &Digest,
        call: &Digest,
        claim: &CallClaim,
    ) -> Result<CallGrant, OperatorError> {
        let path = ["v1", "syntheses", &search.to_string(), "calls", &call.to_string()];
        self.ask(Method::POST, &path, Some(claim)).await
    }

    /// Tells how a call ended that was granted.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn settle(
        &self,
        search: &Digest,
        call: &Digest,
        outcome: &CallOutcome,
    ) -> Result<(), OperatorError> {
        self.put(&["v1", "syntheses", &search.to_string(), "calls", &call.to_string()], outcome).await
    }

    /// Says how a search stands.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn put_progress(&self, search: &Digest, progress: &Progress) -> Result<(), OperatorError> {
        self.put(&["v1", "syntheses", &search.to_string(), "progress"], progress).await
    }

    /// Delivers what a search found.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn put_synthesis(&self, report: &SynthesisReport) -> Result<(), OperatorError> {
        self.put(&["v1", "syntheses", &report.request.to_string(), "report"], report).await
    }

    /// Tells whether a model answered.
    ///
    /// # Errors
    /// See [`OperatorError`].
    pub async fn put_probe(&self, request: &Digest, report: &ProbeReport) -> Result<(), OperatorError> {
        self.put(&["v1", "probes", &request.to_string()], report).await
    }

    async fn ask<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&B>,
    ) -> Result<T, OperatorError> {
        let what = format!("{method} /{}", path.join("/"));
        let answer = self.send(method, self.url(path), &what, REQUEST, body).await?;
        self.parse(&what, answer).await
    }

    async fn put<T: Serialize>(&self, path: &[&str], body: &T) -> Result<(), OperatorError> {
        let what = format!("PUT /{}", path.join("/"));
        self.send(Method::PUT, self.url(path), &what, REQUEST, Some(body)).await.map(drop)
    }

    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Fails only for a URL that cannot be a base, which `new` refuses.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }

    async fn send<T: Serialize>(
        &self,
        method: Method,
        url: Url,
        what: &str,
        timeout: Duration,
        body: Option<&T>,
    ) -> Result<Response, OperatorError> {
        let mut request = self.http.request(method, url).bearer_auth(self.token()?).timeout(timeout);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let detail = detail(answer).await;
        let what = what.to_owned();
        Err(match status {
            StatusCode::UNAUTHORIZED => OperatorError::Refused {
                what,
                status,
                hint: "it does not know this pod's token; check that it is projected for the audience \
                       `dise-operator` and that the operator may create TokenReviews",
                detail,
            },
            StatusCode::FORBIDDEN => OperatorError::Refused {
                what,
                status,
                hint: "this pod's service account may not do that; check that the pod runs in the namespace \
                       of the workflow and was created by the operator",
                detail,
            },
            StatusCode::NOT_FOUND => OperatorError::NotFound { what, detail },
            _ => OperatorError::Status { what, status, detail },
        })
    }

    /// The token as it is now: the kubelet replaces it long before it expires. The file lies in memory, so that
    /// reading it does not block.
    fn token(&self) -> Result<String, OperatorError> {
        read_token(&self.token_file)
            .map_err(|source| OperatorError::Token { path: self.token_file.clone(), source })
    }

    async fn read(&self, what: &str, mut answer: Response) -> Result<Bytes, OperatorError> {
        // To the byte, where the length is known: plans are kept as they came.
        let length = answer.content_length().and_then(|length| usize::try_from(length).ok());
        let mut content = BytesMut::with_capacity(length.unwrap_or_default().min(ANSWER_BYTES));
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.unreachable(&error))? {
            if content.len() + chunk.len() > ANSWER_BYTES {
                let fault = format!("it is longer than {ANSWER_BYTES} bytes");
                return Err(OperatorError::Malformed { what: what.to_owned(), fault });
            }
            content.extend_from_slice(&chunk);
        }
        Ok(content.freeze())
    }

    async fn parse<T: DeserializeOwned>(&self, what: &str, answer: Response) -> Result<T, OperatorError> {
        let content = self.read(what, answer).await?;
        serde_json::from_slice(&content)
            .map_err(|error| OperatorError::Malformed { what: what.to_owned(), fault: error.to_string() })
    }

    fn unreachable(&self, error: &reqwest::Error) -> OperatorError {
        OperatorError::Unreachable { url: self.base.to_string(), message: causes(error) }
    }
}

fn read_token(path: &Path) -> io::Result<String> {
    let token = fs::read_to_string(path)?.trim().to_owned();
    if token.is_empty() { Err(io::Error::new(io::ErrorKind::InvalidData, "it is empty")) } else { Ok(token) }
}

/// What the operator said about a failure: the `detail` of a problem document, or the start of the body.
async fn detail(mut answer: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > 8 * DETAIL_BYTES {
            break;
        }
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let text = match problem.as_ref().and_then(|problem| problem["detail"].as_str()) {
        Some(text) => text.to_owned(),
        None => String::from_utf8_lossy(&body).into_owned(),
    };
    let text: String = text.trim().chars().take(DETAIL_BYTES).collect();
    if text.is_empty() { text } else { format!(": {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(url: &str, ca: &str) -> Access {
        // Another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        Access { url: url.into(), ca: ca.into(), token_file: "/nowhere".into() }
    }

    #[test]
    fn refuses_settings_that_cannot_work() {
        for (url, ca, word) in [
            ("operator:8443", "", "DISE_OPERATOR_URL"),
            ("", "", "DISE_OPERATOR_URL"),
            ("https://operator", "", "DISE_OPERATOR_CA"),
        ] {
            let message = Operator::new(&access(url, ca)).unwrap_err().to_string();
            assert!(message.contains(word), "{url}: {message}");
        }
    }

    #[test]
    fn names_in_paths_are_escaped() {
        let operator = Operator::new(&access("http://operator/base/", "")).unwrap();
        let url = operator.url(&["v1", "runs", "a/../b?c"]);
        assert_eq!(url.as_str(), "http://operator/base/v1/runs/a%2F..%2Fb%3Fc");
    }

    #[tokio::test]
    async fn a_missing_token_says_what_to_mount() {
        let operator = Operator::new(&access("http://127.0.0.1:1", "")).unwrap();
        let message = operator.run("r").await.unwrap_err().to_string();
        assert!(message.contains("/nowhere") && message.contains("dise-operator"), "{message}");
    }
}
