//! The operator's API, reached through the API server's proxy for Services, so that nothing has to be exposed.
//!
//! The API server keeps the header `Authorization` to itself. The operator is shown a token of the namespace's
//! account [`READER`] in a header of its own: one that nobody but the operator accepts, that lasts ten minutes
//! and reads in that namespace alone.

use anyhow::{Context as _, Result, anyhow, bail};
use dise_core::wire::AUDIENCE;
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::{Service, ServiceAccount},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, PostParams},
    core::Status,
};
use serde::{Serialize, de::DeserializeOwned};

use super::{Ask, Cluster, explain};

/// The account in whose name people read.
const READER: &str = "dise-reader";
const TOKEN_HEADER: &str = "x-dise-token";
const TOKEN_SECONDS: i64 = 600;
/// What the chart labels the operator's Service with, and where it is when nothing else is said.
const LABELS: &str = "app.kubernetes.io/name=dise-operator,app.kubernetes.io/component=operator";
const NAMESPACE: &str = "dise-system";
const SERVICE: &str = "dise-operator";

/// The operator's Service.
#[derive(Debug, PartialEq, Eq)]
struct Operator {
    namespace: String,
    service: String,
}

impl Cluster {
    /// Posts to the operator's API as the reader of this namespace. The operator is looked for in `namespace`, if
    /// that is given.
    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        namespace: Option<&str>,
    ) -> Result<A> {
        let operator = self.operator(namespace).await?;
        let token = self.reader_token().await?;
        let Operator { namespace, service } = &operator;
        let request = http::Request::post(format!(
            "/api/v1/namespaces/{namespace}/services/https:{service}:api/proxy{path}"
        ))
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(TOKEN_HEADER, token)
        .body(serde_json::to_vec(body)?)?;
        match self.client.request(request).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::SerdeError(fault)) => {
                Err(fault).context("the operator answers in a way that this release does not understand")
            }
            Err(kube::Error::Api(status)) if status.code != 403 || problem(&status).is_some() => {
                Err(refusal(&status, &operator))
            }
            Err(fault) => {
                let ask = Ask::new::<Service>("create", namespace).of("proxy");
                Err(explain(fault, &ask))
            }
        }
    }

    /// The operator's Service, if this user may look for it; else where the chart puts it.
    async fn operator(&self, namespace: Option<&str>) -> Result<Operator> {
        let services: Api<Service> = match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        };
        let found = match services.list_metadata(&ListParams::default().labels(LABELS)).await {
            Ok(found) => found.items,
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                let namespace = namespace.unwrap_or(NAMESPACE).to_owned();
                return Ok(Operator { namespace, service: SERVICE.to_owned() });
            }
            Err(fault) => {
                return Err(explain(fault, &Ask::new::<Service>("list", namespace.unwrap_or_default())));
            }
        };
        let [service] = found.as_slice() else {
            let namespaces: Vec<String> = found.iter().filter_map(ResourceExt::namespace).collect();
            let place =
                namespace.map_or_else(|| "the cluster".to_owned(), |name| format!("namespace {name}"));
            bail!(match namespaces.as_slice() {
                [] => format!(
                    "there is no operator in {place}: install the chart dise-operator, or give --operator-namespace"
                ),
                _ => format!(
                    "there are several operators, choose one with --operator-namespace: {}",
                    namespaces.join(", ")
                ),
            });
        };
        Ok(Operator { namespace: service.namespace().unwrap_or_default(), service: service.name_any() })
    }

    async fn reader_token(&self) -> Result<String> {
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: vec![AUDIENCE.to_owned()],
                expiration_seconds: Some(TOKEN_SECONDS),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let accounts = self.api::<ServiceAccount>();
        match accounts.create_token_request(READER, &PostParams::default(), &request).await {
            Ok(answer) => Ok(answer.status.context("the API server issued no token")?.token),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(anyhow!(
                "namespace {} has no ServiceAccount {READER}. The operator creates it in every namespace that has a \
                 Workflow: apply one, or choose another namespace with -n",
                self.namespace
            )),
            Err(fault) => Err(explain(fault, &self.ask::<ServiceAccount>("create").of("token"))),
        }
    }
}

/// What the operator says about a request that it refuses (RFC 9457). Absent if the API server refused it.
fn problem(status: &Status) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_str(&status.message).ok()?;
    problem["detail"].as_str().map(str::to_owned)
}

fn refusal(status: &Status, operator: &Operator) -> anyhow::Error {
    let Operator { namespace, service } = operator;
    match (problem(status), status.code) {
        (Some(detail), code) => anyhow!("the operator refuses ({code}): {detail}"),
        (None, 404) if status.details.is_some() => {
            anyhow!("there is no Service {service} in namespace {namespace}; give --operator-namespace")
        }
        (None, 404) => {
            anyhow!("the operator in namespace {namespace} cannot do this; it is older than kubectl-dise")
        }
        (None, 502..=504) => anyhow!(
            "the operator does not answer: kubectl -n {namespace} get pods -l {LABELS}. The API server says: {}",
            status.message
        ),
        (None, code) => anyhow!("the operator cannot be asked ({code}): {}", status.message),
    }
}

#[cfg(test)]
mod tests;
