//! Server-side apply, the one way in which the operator writes objects.

use std::fmt::Debug;

use kube::{
    Api, Client, Resource,
    api::{DeleteParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::FIELD_MANAGER;

/// Applies an object. The API server writes nothing when nothing differs.
///
/// # Errors
/// The API server refuses, or the object has no name.
pub async fn apply<K>(client: &Client, namespace: &str, object: &K) -> Result<K, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let name = object.meta().name.as_deref().unwrap_or_default();
    api.patch(name, &params(), &Patch::Apply(object)).await
}

/// Applies a status, unless `current` is the same.
///
/// # Errors
/// The API server refuses.
pub async fn apply_status<K, S>(
    client: &Client,
    object: &K,
    current: Option<&S>,
    wanted: &S,
) -> Result<bool, kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
    S: Serialize + PartialEq,
{
    if current == Some(wanted) {
        return Ok(false);
    }
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    let name = object.meta().name.as_deref().unwrap_or_default();
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let patch = status_patch::<K, S>(name, wanted)?;
    match api.patch_status(name, &params(), &Patch::Apply(&patch)).await {
        Ok(_) => Ok(true),
        // Deleted meanwhile: nobody is left to be told.
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(fault) => Err(fault),
    }
}

/// Deletes an object with what it owns; one that is gone is deleted already.
///
/// # Errors
/// The API server refuses.
pub async fn delete<K>(client: &Client, namespace: &str, name: &str) -> Result<(), kube::Error>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(fault) => Err(fault),
    }
}

fn params() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

fn status_patch<K, S>(name: &str, status: &S) -> Result<Value, kube::Error>
where
    K: Resource<DynamicType = ()>,
    S: Serialize,
{
    let status = serde_json::to_value(status).map_err(kube::Error::SerdeError)?;
    Ok(json!({
        "apiVersion": K::api_version(&()),
        "kind": K::kind(&()),
        "metadata": {"name": name},
        "status": status,
    }))
}

#[cfg(test)]
mod tests {
    use dise_crds::{Workflow, WorkflowStatus};

    use super::*;

    #[test]
    fn applies_a_status_without_touching_the_spec() {
        let status = WorkflowStatus { executions: Some(3), ..WorkflowStatus::default() };
        let patch = status_patch::<Workflow, _>("w", &status).unwrap();
        assert_eq!(patch["status"]["executions"], 3);
        assert_eq!(patch["apiVersion"], "dise.dev/v1alpha1");
        assert!(patch.get("spec").is_none());
    }
}
