//! Namespaces that are on their way out.

/// What Kubernetes calls the cause when it refuses new content for a namespace that is being deleted.
const TERMINATING: &str = "NamespaceTerminating";

/// Whether a request failed because its namespace is being deleted, or is gone already. What was wanted there goes with
/// it, so there is nothing to try again and nobody to tell.
#[must_use]
pub fn is_leaving(fault: &kube::Error) -> bool {
    let kube::Error::Api(status) = fault else { return false };
    let Some(details) = &status.details else { return false };
    let is_terminating =
        status.is_forbidden() && details.causes.iter().any(|cause| cause.reason == TERMINATING);
    let is_gone = status.is_not_found() && details.kind == "namespaces" && details.group.is_empty();
    is_terminating || is_gone
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What the API server answers to a write into a namespace that is being deleted.
    pub(in super::super) fn terminating() -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "serviceaccounts \"dise-runner\" is forbidden: unable to create new content in namespace \
                        shop because it is being terminated",
            "reason": "Forbidden",
            "details": {"name": "dise-runner", "kind": "serviceaccounts", "causes": [{
                "reason": "NamespaceTerminating", "message": "namespace shop is being terminated",
                "field": "metadata.namespace",
            }]},
            "code": 403,
        })
    }

    /// What it answers to a write into a namespace that does not exist.
    pub(in super::super) fn gone() -> Value {
        missing("namespaces", "")
    }

    /// What it answers to somebody who may not.
    pub(in super::super) fn refused() -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": "serviceaccounts \"dise-runner\" is forbidden: this is being terminated by a policy",
            "reason": "Forbidden", "details": {"name": "dise-runner", "kind": "serviceaccounts"}, "code": 403,
        })
    }

    fn missing(kind: &str, group: &str) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": format!("{kind} \"shop\" not found"), "reason": "NotFound",
            "details": {"name": "shop", "group": group, "kind": kind}, "code": 404,
        })
    }

    fn fault(status: Value) -> kube::Error {
        kube::Error::Api(serde_json::from_value(status).unwrap())
    }

    #[test]
    fn knows_a_namespace_that_is_being_deleted_and_one_that_is_gone() {
        assert!(is_leaving(&fault(terminating())));
        assert!(is_leaving(&fault(gone())));
    }

    #[test]
    fn takes_no_other_refusal_for_the_end_of_a_namespace() {
        assert!(!is_leaving(&fault(refused())));
        assert!(!is_leaving(&fault(missing("jobs", "batch"))));
        assert!(!is_leaving(&fault(missing("namespaces", "example.com"))));
        assert!(!is_leaving(&fault(json!({"status": "Failure", "reason": "NotFound", "code": 404}))));
        assert!(!is_leaving(&kube::Error::LinesCodecMaxLineLengthExceeded));
    }
}
