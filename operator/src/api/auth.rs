//! Who calls: a runner pod, known by its service-account token and by the labels that the operator gave it.
//!
//! A token is good when the API server says so for our audience, when it is bound to a pod, and when that pod runs
//! under the runner's service account. What it may see follows from the pod's namespace and labels.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::http::{HeaderMap, header::AUTHORIZATION};
use dise_core::{digest::Digest, wire::AUDIENCE};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    core::v1::Pod,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use crate::{
    api::problem::Problem,
    labels::{self, Role},
};

/// The service account of every runner pod.
pub const SERVICE_ACCOUNT: &str = "dise-runner";

/// The service account whose tokens people search with.
pub const READER: &str = "dise-reader";
/// Carries the token of a caller behind the API server's proxy, which keeps the usual header to itself.
const TOKEN_HEADER: &str = "x-dise-token";

/// How long an answer of the API server is believed. A deleted pod keeps access no longer than this.
const BELIEVED: Duration = Duration::from_secs(30);
const REMEMBERED: usize = 10_000;

/// A caller that was authenticated, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The namespace of the pod: it sees no other.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// What the pod is for.
    pub role: Role,
    /// The only workflow that it may see; `None` for the executor that serves all of the namespace.
    pub workflow: Option<String>,
    /// The run that it executes.
    pub run: Option<String>,
    /// What it was started for: the plan of a run, or the requests of a Job.
    pub blobs: BTreeSet<Digest>,
}

impl Caller {
    /// Refuses a caller that is not of this role.
    ///
    /// # Errors
    /// 403.
    pub fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role == role {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "pod {} has the role {}, and this needs {}",
            self.pod,
            self.role.as_str(),
            role.as_str()
        )))
    }

    /// The request that a path names, if the caller has this role and was started for it.
    ///
    /// # Errors
    /// 400 for what is no digest, 403 otherwise.
    pub fn assigned(&self, role: Role, digest: &str) -> Result<Digest, Problem> {
        self.require(role)?;
        let digest: Digest = digest.parse()?;
        if self.blobs.contains(&digest) {
            return Ok(digest);
        }
        Err(Problem::forbidden(format!("pod {} was not started for {digest}", self.pod)))
    }
}

/// A person, or a program of theirs, that may search in a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The namespace: it sees no other.
    pub namespace: String,
}

/// Authenticates callers, asking the API server about each token at most once in half a minute.
pub struct Authenticator {
    client: Client,
    known: Mutex<HashMap<Digest, (Instant, Arc<Caller>)>>,
}

impl Authenticator {
    /// One that asks through `client`.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// Who sends this request.
    ///
    /// # Errors
    /// 401 for a token that is missing, expired, forged or meant for somebody else; 403 for a pod that is not a
    /// runner; 503 while the API server cannot be asked.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Arc<Caller>, Problem> {
        let token = bearer(headers)?;
        let key = Digest::of(token.as_bytes());
        if let Some(caller) = self.remembered(key) {
            return Ok(caller);
        }
        let status = self.review(token).await?;
        let identity = identity(&status)?;
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &identity.namespace);
        let pod = pods.get_opt(&identity.pod).await.map_err(|fault| Problem::kubernetes(&fault))?;
        let pod = pod.ok_or_else(|| Problem::unauthorized(format!("pod {} is gone", identity.pod)))?;
        let caller = Arc::new(caller(identity, &pod.metadata)?);
        self.remember(key, &caller);
        Ok(caller)
    }

    /// Who sends this request, if it is a person.
    ///
    /// # Errors
    /// 401 for a token that is missing, expired, forged or meant for somebody else; 403 for one of another account; 503
    /// while the API server cannot be asked.
    pub async fn reader(&self, headers: &HeaderMap) -> Result<Reader, Problem> {
        let (account, namespace) = account(&self.review(bearer(headers)?).await?)?;
        if account == READER {
            return Ok(Reader { namespace });
        }
        Err(Problem::forbidden(format!("only the service account {READER} of a namespace searches in it")))
    }

    async fn review(&self, token: &str) -> Result<TokenReviewStatus, Problem> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![AUDIENCE.to_owned()]),
                token: Some(token.to_owned()),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let review = reviews
            .create(&PostParams::default(), &review)
            .await
            .map_err(|fault| Problem::kubernetes(&fault))?;
        Ok(review.status.unwrap_or_default())
    }

    fn remembered(&self, key: Digest) -> Option<Arc<Caller>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&key).filter(|(at, _)| at.elapsed() < BELIEVED).map(|(_, caller)| Arc::clone(caller))
    }

    fn remember(&self, key: Digest, caller: &Arc<Caller>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (at, _)| at.elapsed() < BELIEVED);
        }
        if known.len() < REMEMBERED {
            known.insert(key, (Instant::now(), Arc::clone(caller)));
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let proxied = || headers.get(TOKEN_HEADER)?.to_str().ok();
    headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "))
        .or_else(proxied)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Problem::unauthorized("the request carries no bearer token"))
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Identity {
    namespace: String,
    pod: String,
    pod_uid: String,
}

/// The service account that a token is of: its name and its namespace.
fn account(status: &TokenReviewStatus) -> Result<(String, String), Problem> {
    let audience = status.audiences.as_deref().unwrap_or_default();
    if status.authenticated != Some(true) || !audience.iter().any(|name| name == AUDIENCE) {
        return Err(Problem::unauthorized(format!(
            "the token is not one for the audience {AUDIENCE}, or it has expired"
        )));
    }
    let username = status.user.as_ref().and_then(|user| user.username.as_deref()).unwrap_or_default();
    let account = username.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    let (namespace, name) =
        account.ok_or_else(|| Problem::forbidden(format!("{username} is not a service account")))?;
    Ok((name.to_owned(), namespace.to_owned()))
}

fn identity(status: &TokenReviewStatus) -> Result<Identity, Problem> {
    let (account, namespace) = account(status)?;
    if account != SERVICE_ACCOUNT {
        return Err(Problem::forbidden(format!("{account} is not a runner's service account")));
    }
    let extra = status.user.clone().unwrap_or_default().extra.unwrap_or_default();
    let field = |name: &str| extra.get(&format!("authentication.kubernetes.io/{name}"))?.first().cloned();
    let (Some(pod), Some(pod_uid)) = (field("pod-name"), field("pod-uid")) else {
        return Err(Problem::forbidden("the token is not bound to a pod"));
    };
    Ok(Identity { namespace, pod, pod_uid })
}

fn caller(identity: Identity, metadata: &ObjectMeta) -> Result<Caller, Problem> {
    if metadata.uid.as_ref() != Some(&identity.pod_uid) {
        return Err(Problem::unauthorized(format!("pod {} was replaced by another", identity.pod)));
    }
    let role = labels::label(metadata, labels::ROLE).and_then(Role::parse).ok_or_else(|| {
        Problem::forbidden(format!("pod {} has no label {} of a runner", identity.pod, labels::ROLE))
    })?;
    let own = |name| labels::label(metadata, name).map(str::to_owned);
    let blobs = labels::annotation(metadata, labels::BLOBS).unwrap_or_default();
    let workflow = match role {
        Role::Executor => own(labels::EXECUTOR).filter(|executor| executor != labels::SHARED),
        Role::Verify | Role::Probe => None,
        Role::Run | Role::Synthesize => own(labels::WORKFLOW),
    };
    Ok(Caller {
        namespace: identity.namespace,
        pod: identity.pod,
        role,
        workflow,
        run: own(labels::RUN),
        blobs: blobs.split(',').filter_map(|digest| digest.parse().ok()).collect(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use axum::http::StatusCode;
    use k8s_openapi::api::authentication::v1::UserInfo;

    use super::*;

    fn status(username: &str, audiences: &[&str], pod: Option<&str>) -> TokenReviewStatus {
        let extra = pod.map(|pod| {
            BTreeMap::from([
                ("authentication.kubernetes.io/pod-name".to_owned(), vec![pod.to_owned()]),
                ("authentication.kubernetes.io/pod-uid".to_owned(), vec!["u1".to_owned()]),
            ])
        });
        TokenReviewStatus {
            authenticated: Some(true),
            audiences: Some(audiences.iter().map(ToString::to_string).collect()),
            user: Some(UserInfo { username: Some(username.to_owned()), extra, ..UserInfo::default() }),
            ..TokenReviewStatus::default()
        }
    }

    fn pod(labels: &[(&str, &str)]) -> ObjectMeta {
        let labels = labels.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        ObjectMeta { uid: Some("u1".into()), labels: Some(labels), ..ObjectMeta::default() }
    }

    const RUNNER: &str = "system:serviceaccount:shop:dise-runner";

    #[test]
    fn knows_a_runner_by_account_pod_and_label() {
        let identity = identity(&status(RUNNER, &[AUDIENCE], Some("p"))).unwrap();
        let labels = pod(&[(labels::ROLE, "executor"), (labels::EXECUTOR, labels::SHARED)]);
        let caller = caller(identity, &labels).unwrap();
        assert_eq!((caller.namespace.as_str(), caller.pod.as_str()), ("shop", "p"));
        assert_eq!((caller.role, caller.workflow), (Role::Executor, None));
    }

    #[test]
    fn confines_a_dedicated_executor_and_a_run_to_their_workflow() {
        let bound = identity(&status(RUNNER, &[AUDIENCE], Some("p"))).unwrap();
        let dedicated = pod(&[(labels::ROLE, "executor"), (labels::EXECUTOR, "triage")]);
        assert_eq!(caller(bound.clone(), &dedicated).unwrap().workflow.as_deref(), Some("triage"));
        let run = pod(&[(labels::ROLE, "run"), (labels::WORKFLOW, "triage"), (labels::RUN, "r1")]);
        let caller = caller(bound, &run).unwrap();
        assert_eq!((caller.workflow.as_deref(), caller.run.as_deref()), (Some("triage"), Some("r1")));
    }

    #[test]
    fn refuses_tokens_that_are_not_for_us() {
        let refused = |status: &TokenReviewStatus| identity(status).unwrap_err().status();
        assert_eq!(refused(&status(RUNNER, &["kubernetes"], Some("p"))), StatusCode::UNAUTHORIZED);
        let expired =
            TokenReviewStatus { authenticated: Some(false), ..status(RUNNER, &[AUDIENCE], Some("p")) };
        assert_eq!(refused(&expired), StatusCode::UNAUTHORIZED);
        assert_eq!(refused(&TokenReviewStatus::default()), StatusCode::UNAUTHORIZED);
        assert_eq!(refused(&status(RUNNER, &[AUDIENCE], None)), StatusCode::FORBIDDEN);
        for other in ["system:serviceaccount:shop:default", "admin", "system:serviceaccount:dise-runner"] {
            assert_eq!(refused(&status(other, &[AUDIENCE], Some("p"))), StatusCode::FORBIDDEN, "{other}");
        }
    }

    #[test]
    fn takes_the_token_of_a_caller_behind_a_proxy() {
        let header = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(axum::http::HeaderName::from_static(name), value.parse().unwrap())])
        };
        assert_eq!(bearer(&header("authorization", "Bearer t")).unwrap(), "t");
        assert_eq!(bearer(&header(TOKEN_HEADER, "t")).unwrap(), "t");
        assert!(bearer(&HeaderMap::new()).is_err());
    }

    #[test]
    fn refuses_a_pod_that_was_replaced_or_is_no_runner() {
        let bound = identity(&status(RUNNER, &[AUDIENCE], Some("p"))).unwrap();
        let other = ObjectMeta { uid: Some("u2".into()), ..pod(&[(labels::ROLE, "executor")]) };
        assert_eq!(caller(bound.clone(), &other).unwrap_err().status(), StatusCode::UNAUTHORIZED);
        assert_eq!(caller(bound, &pod(&[])).unwrap_err().status(), StatusCode::FORBIDDEN);
    }
}
