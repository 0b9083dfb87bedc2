//! Errors of the Kubernetes API, in words that name the fix.

use std::error::Error;

use anyhow::anyhow;
use kube::{config::InferConfigError, core::Status};

use super::Kind;

/// What was asked of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    verb: &'static str,
    /// The resource as RBAC and `kubectl auth can-i` name it, for example `workflows.dise.dev` or `pods/portforward`.
    resource: String,
    /// Empty for all.
    namespace: String,
}

impl Ask {
    pub(crate) fn new<K: Kind>(verb: &'static str, namespace: &str) -> Self {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let resource = if group.is_empty() { plural.into_owned() } else { format!("{plural}.{group}") };
        Self { verb, resource, namespace: namespace.to_owned() }
    }

    /// The same about a subresource.
    pub(crate) fn of(mut self, subresource: &str) -> Self {
        let (plural, group) = self.resource.split_once('.').unwrap_or((&self.resource, ""));
        let dot = if group.is_empty() { "" } else { "." };
        self.resource = format!("{plural}{dot}{group}/{subresource}");
        self
    }

    fn is_ours(&self) -> bool {
        self.resource.split('/').next().unwrap_or_default().ends_with(dise_crds::GROUP)
    }

    fn place(&self) -> String {
        if self.namespace.is_empty() {
            "in any namespace".to_owned()
        } else {
            format!("in namespace {}", self.namespace)
        }
    }

    fn forbidden(&self, status: &Status) -> anyhow::Error {
        let Self { verb, resource, namespace } = self;
        let role = if ["get", "list", "watch"].contains(verb) { "view" } else { "edit" };
        let fix = match (self.is_ours(), namespace.is_empty()) {
            (true, true) => format!(
                "the ClusterRole `{role}` bound by a ClusterRoleBinding allows it; or name a namespace with -n"
            ),
            (true, false) => format!("the ClusterRole `{role}` bound in the namespace allows it"),
            (false, _) => "a Role with this rule allows it".to_owned(),
        };
        anyhow!(
            "you may not {verb} {resource} {}; {fix}. The API server says: {}",
            self.place(),
            status.message
        )
    }
}

/// An error of the API server or of the way to it.
pub(crate) fn explain(fault: kube::Error, ask: &Ask) -> anyhow::Error {
    match fault {
        kube::Error::Api(status) => refused(&status, ask),
        kube::Error::Auth(fault) => {
            anyhow!("your credentials for the cluster cannot be had: {}; log in again", root(&fault))
        }
        kube::Error::Service(fault) => unreachable(&root(fault.as_ref())),
        kube::Error::HyperError(fault) => unreachable(&root(&fault)),
        other => anyhow!("cannot {} {} {}: {}", ask.verb, ask.resource, ask.place(), root(&other)),
    }
}

fn refused(status: &Status, ask: &Ask) -> anyhow::Error {
    let names_object = status.details.as_ref().is_some_and(|details| !details.name.is_empty());
    match status.code {
        401 => anyhow!("the cluster does not know you (401); log in again, or choose another --context"),
        403 => ask.forbidden(status),
        404 if ask.is_ours() && !names_object => anyhow!(
            "the cluster does not know {}; is DiSE installed? Install the charts dise-crds and dise-operator, or choose another --context",
            ask.resource
        ),
        _ => anyhow!("cannot {} {} {}: {}", ask.verb, ask.resource, ask.place(), status.message),
    }
}

fn unreachable(cause: &str) -> anyhow::Error {
    anyhow!(
        "cannot reach the cluster: {cause}; `kubectl cluster-info` tries the same. Choose another one with --context or --kubeconfig"
    )
}

/// No kubeconfig, or none that can be used. Of an error whose source is what was wrong with the kubeconfig, that there
/// is no cluster around this process either is no news.
pub(super) fn no_config(fault: &(dyn Error + 'static)) -> anyhow::Error {
    let fault = if fault.is::<InferConfigError>() { fault.source().unwrap_or(fault) } else { fault };
    anyhow!("no cluster is configured: {}; set KUBECONFIG, or give --kubeconfig or --context", chain(fault))
}

/// A configuration that no client can be made from.
pub(super) fn unusable(fault: &kube::Error, server: &str) -> anyhow::Error {
    anyhow!("the configuration for {server} cannot be used: {}", chain(fault))
}

/// Whether trying again is pointless.
pub(crate) fn is_lasting(fault: &kube::Error) -> bool {
    matches!(fault, kube::Error::Api(status) if [401, 403, 404].contains(&status.code))
}

/// The innermost cause, which is what a person can act on.
fn root(fault: &(dyn Error + 'static)) -> String {
    let mut cause = fault;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn chain(fault: &(dyn Error + 'static)) -> String {
    let (outer, inner) = (fault.to_string(), root(fault));
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}
