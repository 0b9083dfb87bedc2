//! What people are told when the cluster says no.

use dise_crds::Workflow;
use k8s_openapi::api::core::v1::Event;
use serde_json::{Value, json};

use super::{
    fake::{cluster, list, refusal},
    *,
};

fn workflow(name: &str) -> Value {
    json!({
        "apiVersion": "dise.dev/v1alpha1", "kind": "Workflow",
        "metadata": {"name": name, "namespace": "shop"}, "spec": {"steps": [{"name": "s"}]},
    })
}

async fn fault_of_get(answer: (u16, String)) -> String {
    let (cluster, _) = cluster(move |_| answer.clone());
    cluster.get::<Workflow>("triage").await.unwrap_err().to_string()
}

#[tokio::test]
async fn suggests_the_name_that_was_probably_meant() {
    let (cluster, log) = cluster(|seen| match seen.path.rsplit('/').next() {
        Some("workflows") => list(&[workflow("triage"), workflow("forex")]),
        _ => refusal(404, "NotFound", "workflows.dise.dev \"traige\" not found", &json!({"name": "traige"})),
    });
    let fault = cluster.get::<Workflow>("traige").await.unwrap_err().to_string();
    assert_eq!(fault, "there is no Workflow traige in namespace shop; did you mean `triage`?");
    let fault = cluster.get::<Workflow>("sentiment").await.unwrap_err().to_string();
    assert_eq!(fault, "there is no Workflow sentiment in namespace shop; it has triage, forex");
    assert_eq!(log.lock().unwrap()[0].path, "/apis/dise.dev/v1alpha1/namespaces/shop/workflows/traige");
}

#[tokio::test]
async fn says_which_permission_is_missing_and_what_grants_it() {
    let message =
        "workflows.dise.dev \"triage\" is forbidden: User \"eve\" cannot get resource \"workflows\"";
    let fault = fault_of_get(refusal(403, "Forbidden", message, &json!({"name": "triage"}))).await;
    assert_eq!(
        fault,
        format!(
            "you may not get workflows.dise.dev in namespace shop; the ClusterRole `view` bound in the namespace allows it. \
             The API server says: {message}"
        )
    );
    let (cluster, _) = cluster(move |_| refusal(403, "Forbidden", "no", &Value::Null));
    let fault = cluster.list_everywhere::<Workflow>().await.unwrap_err().to_string();
    assert!(fault.starts_with("you may not list workflows.dise.dev in any namespace; the ClusterRole `view` bound by a ClusterRoleBinding"));
    let fault = cluster.list::<Event>("").await.unwrap_err().to_string();
    assert!(fault.starts_with("you may not list events in namespace shop; a Role with this rule allows it"));
}

#[tokio::test]
async fn says_that_dise_is_not_installed() {
    let page = (404, "404 page not found\n".to_owned());
    let (cluster, _) = cluster(move |_| page.clone());
    let fault = cluster.list::<Workflow>("").await.unwrap_err().to_string();
    assert!(
        fault.contains("the cluster does not know workflows.dise.dev") && fault.contains("dise-crds"),
        "{fault}"
    );
    let fault = cluster.get::<Workflow>("triage").await.unwrap_err().to_string();
    assert!(fault.contains("the cluster does not know workflows.dise.dev"), "{fault}");
}

#[tokio::test]
async fn says_that_the_cluster_does_not_know_the_user() {
    let fault = fault_of_get(refusal(401, "Unauthorized", "Unauthorized", &Value::Null)).await;
    assert!(fault.contains("log in again"), "{fault}");
}

#[tokio::test]
async fn says_that_the_cluster_cannot_be_reached() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    // Nothing listens on a port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "{{current-context: a, contexts: [{{name: a, context: {{cluster: a, user: a, namespace: n}}}}], users: [{{name: a}}], \
         clusters: [{{name: a, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]}}"
    );
    std::fs::write(&path, text).unwrap();
    let args = ClusterArgs { kubeconfig: Some(path.clone()), ..ClusterArgs::default() };
    let cluster = Cluster::connect(&args).await.unwrap();
    assert_eq!(cluster.namespace, "n");
    let fault = cluster.list::<Workflow>("").await.unwrap_err().to_string();
    assert!(fault.starts_with("cannot reach the cluster: Connection refused"), "{fault}");

    let args = ClusterArgs { context: Some("b".into()), ..args };
    let fault = Cluster::connect(&args).await.err().unwrap().to_string();
    assert!(fault.starts_with("no cluster is configured") && fault.contains('b'), "{fault}");
    let missing = ClusterArgs { kubeconfig: Some(folder.path().join("missing")), ..ClusterArgs::default() };
    let fault = Cluster::connect(&missing).await.err().unwrap().to_string();
    assert!(fault.contains("missing") && fault.contains("--kubeconfig"), "{fault}");
}

#[tokio::test]
async fn lists_page_by_page() {
    let (cluster, log) = cluster(|seen| {
        let next = if seen.query.contains("continue=more") { "" } else { "more" };
        let list = json!({"metadata": {"continue": next}, "items": [workflow("a")]});
        (200, list.to_string())
    });
    assert_eq!(cluster.list::<Workflow>("x=y").await.unwrap().len(), 2);
    assert!(log.lock().unwrap()[0].query.contains("labelSelector=x%3Dy"));
}

#[tokio::test]
async fn follows_an_object_through_its_states_to_its_end() {
    let (cluster, _) = cluster(|seen| {
        let state = |type_: &str, description: &str, version: &str| {
            let mut object = workflow("triage");
            object["spec"]["description"] = json!(description);
            object["metadata"]["resourceVersion"] = json!(version);
            json!({"type": type_, "object": object}).to_string() + "\n"
        };
        if seen.query.contains("watch=true") {
            (200, state("MODIFIED", "two", "8") + &state("DELETED", "three", "9"))
        } else {
            list(&[workflow("triage")])
        }
    });
    let mut states = Vec::new();
    let ended = cluster
        .follow::<Workflow, _>("triage", Duration::from_secs(30), |object| {
            states.push(object.map(|object| object.spec.description.clone()));
            object.is_none().then_some("gone")
        })
        .await;
    assert_eq!(ended.unwrap(), Some("gone"));
    assert_eq!(states, [Some(String::new()), Some("two".into()), None]);
}

#[tokio::test]
async fn gives_up_following_what_may_not_be_watched_and_what_takes_too_long() {
    let (cluster, _) = cluster(|_| refusal(403, "Forbidden", "no", &Value::Null));
    let look = |_: Option<&Workflow>| None::<()>;
    let fault = cluster.follow("triage", Duration::from_secs(30), look).await.unwrap_err().to_string();
    assert!(fault.starts_with("you may not watch workflows.dise.dev"), "{fault}");
    let (cluster, _) = super::fake::cluster(|_| list(&[]));
    assert_eq!(cluster.follow("triage", Duration::from_millis(50), look).await.unwrap(), None);
}
