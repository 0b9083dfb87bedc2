//! Waits for the CustomResourceDefinitions: the operator may be installed before them.

use std::time::Duration;

use dise_crds::{Artifact, Tool, Workflow, WorkflowRun};
use kube::{Api, Client, Resource, api::ListParams};
use serde::de::DeserializeOwned;

use crate::health::Readiness;

const AGAIN: Duration = Duration::from_secs(2);

/// Returns once the API server serves all kinds.
pub async fn wait(client: &Client, readiness: &Readiness) {
    loop {
        let missing = missing(client).await;
        if missing.is_empty() {
            return;
        }
        let reason = format!("waiting for {}; install the chart dise-crds", missing.join(", "));
        tracing::warn!("{reason}");
        readiness.waits(reason);
        tokio::time::sleep(AGAIN).await;
    }
}

async fn missing(client: &Client) -> Vec<String> {
    let found = [
        problem::<Workflow>(client).await,
        problem::<WorkflowRun>(client).await,
        problem::<Artifact>(client).await,
        problem::<Tool>(client).await,
    ];
    found.into_iter().flatten().collect()
}

async fn problem<K>(client: &Client) -> Option<String>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let api: Api<K> = Api::all(client.clone());
    match api.list_metadata(&ListParams::default().limit(1)).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) if status.is_not_found() => Some(format!("the kind {}", K::kind(&()))),
        Err(fault) => Some(format!("the Kubernetes API to list {} ({fault})", K::plural(&()))),
    }
}
