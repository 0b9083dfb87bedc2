//! Why the pods of a Job or Deployment do not start.

use k8s_openapi::api::core::v1::{ContainerStateWaiting, Pod};
use kube::{Api, api::ListParams};

use super::Context;

/// The reasons of a waiting container that are no normal part of starting.
const NORMAL: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// Why a Job's newest pod does not start; `None` when nothing speaks against it.
///
/// # Errors
/// The API server does not answer.
pub async fn waiting_reason(
    context: &Context,
    namespace: &str,
    job: &str,
) -> Result<Option<String>, kube::Error> {
    let selector = format!("batch.kubernetes.io/job-name={job}");
    list(context, namespace, &selector).await.map(|pods| newest_reason(&pods))
}

/// The pods that a selector names.
///
/// # Errors
/// The API server does not answer.
pub async fn list(context: &Context, namespace: &str, selector: &str) -> Result<Vec<Pod>, kube::Error> {
    let pods: Api<Pod> = Api::namespaced(context.client.clone(), namespace);
    Ok(pods.list(&ListParams::default().labels(selector)).await?.items)
}

/// Why the newest of `pods` does not start.
#[must_use]
pub fn newest_reason(pods: &[Pod]) -> Option<String> {
    let newest = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))?;
    let status = newest.status.as_ref()?;
    let unschedulable = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
        .map(|condition| sentence(condition.reason.as_deref(), condition.message.as_deref()));
    unschedulable.or_else(|| {
        let waiting = status
            .container_statuses
            .iter()
            .flatten()
            .filter_map(|container| container.state.as_ref()?.waiting.as_ref())
            .find(|waiting| !NORMAL.contains(&waiting.reason.as_deref().unwrap_or(NORMAL[0])));
        waiting
            .map(|ContainerStateWaiting { reason, message }| sentence(reason.as_deref(), message.as_deref()))
    })
}

fn sentence(reason: Option<&str>, message: Option<&str>) -> String {
    [reason, message].into_iter().flatten().collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, PodStatus};

    use super::*;

    fn waiting(reason: &str) -> Pod {
        let state = ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.into()), message: Some("m".into()) }),
            ..ContainerState::default()
        };
        let container = ContainerStatus { state: Some(state), ..ContainerStatus::default() };
        let status = PodStatus { container_statuses: Some(vec![container]), ..PodStatus::default() };
        Pod { status: Some(status), ..Pod::default() }
    }

    #[test]
    fn names_an_image_that_cannot_be_pulled() {
        assert_eq!(newest_reason(&[waiting("ImagePullBackOff")]).unwrap(), "ImagePullBackOff: m");
    }

    #[test]
    fn is_silent_about_a_pod_that_is_just_starting() {
        assert_eq!(newest_reason(&[waiting("ContainerCreating")]), None);
        assert_eq!(newest_reason(&[]), None);
    }
}
