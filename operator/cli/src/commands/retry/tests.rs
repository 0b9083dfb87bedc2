use dise_crds::{WorkflowSpec, WorkflowStatus, conditions::condition};
use serde_json::Value;

use super::*;
use crate::cluster::fake;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A workflow whose `Ready` is so for this reason, stalled since that second.
fn workflow(ready: bool, reason: &str, stalled: Option<i64>) -> Workflow {
    let mut workflow = Workflow::new("triage", WorkflowSpec::default());
    let ready = condition(conditions::READY, ready, reason, "because", None, at(1));
    let stalled =
        stalled.map(|second| condition(conditions::STALLED, true, reason, "because", None, at(second)));
    let conditions = [Some(ready), stalled].into_iter().flatten().collect();
    workflow.status = Some(WorkflowStatus { conditions, ..WorkflowStatus::default() });
    workflow
}

#[tokio::test]
async fn writes_the_annotation_alone_and_creates_nothing() {
    let (cluster, log) = fake::cluster(|seen| (200, seen.body.to_string()));
    let mut triage = workflow(false, "NoCandidatePassed", Some(1));
    triage.metadata.uid = Some("u1".into());
    annotate(&cluster, &triage).await.unwrap();
    let mut seen = log.lock().unwrap()[0].clone();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("PATCH", "/apis/dise.dev/v1alpha1/namespaces/shop/workflows/triage")
    );
    assert!(
        seen.query.contains("fieldManager=kubectl-dise") && seen.query.contains("force=true"),
        "{}",
        seen.query
    );
    let at: Timestamp = seen.body["metadata"]["annotations"][RETRY].as_str().unwrap().parse().unwrap();
    assert!((Timestamp::now() - at).get_seconds() < 60);
    seen.body["metadata"]["annotations"] = Value::Null;
    let expected = json!({
        "apiVersion": "dise.dev/v1alpha1", "kind": "Workflow",
        "metadata": {"name": "triage", "uid": "u1", "annotations": null},
    });
    assert_eq!(seen.body, expected);
}

#[test]
fn says_what_will_happen() {
    for reason in SEARCH_FAILED {
        assert_eq!(what_follows(&workflow(false, reason, Some(1))).0, Effect::Search, "{reason}");
    }
    assert_eq!(what_follows(&workflow(false, "Generating", None)).0, Effect::UnderWay);
    let (effect, message) = what_follows(&workflow(true, "Serving", None));
    assert!(effect == Effect::Nothing && message.contains("is ready"), "{message}");
    let (effect, message) = what_follows(&workflow(false, "VerificationFailed", Some(1)));
    assert!(effect == Effect::Nothing && message.ends_with("VerificationFailed: because"), "{message}");
}

#[test]
fn searches_for_an_option_that_a_workflow_serves_without() {
    let mut serving = workflow(true, "Serving", None);
    let missing = condition(conditions::SYNTHESIZED, false, "NoCandidatePassed", "because", None, at(1));
    serving.status.as_mut().unwrap().conditions.push(missing);
    assert_eq!(what_follows(&serving).0, Effect::Search);
}

#[test]
fn a_failure_from_before_is_no_news() {
    let before = workflow(false, "NoCandidatePassed", Some(5));
    let mut watch = Watch::new(&before);
    assert_eq!(watch.look(Some(&before)), None);
    assert_eq!(watch.look(Some(&workflow(false, "Generating", None))), None);
    let text = "NoCandidatePassed: because".to_owned();
    assert_eq!(
        watch.look(Some(&workflow(false, "NoCandidatePassed", Some(5)))),
        Some((Outcome::Unwell, text.clone()))
    );
    let mut missed = Watch::new(&before);
    assert_eq!(
        missed.look(Some(&workflow(false, "NoCandidatePassed", Some(9)))),
        Some((Outcome::Unwell, text))
    );
}

#[test]
fn ends_well_when_the_workflow_is_ready_and_not_when_it_is_deleted() {
    let mut watch = Watch::new(&workflow(false, "NoCandidatePassed", Some(5)));
    assert_eq!(watch.look(Some(&workflow(true, "Serving", None))).unwrap().0, Outcome::Well);
    assert_eq!(watch.look(None).unwrap().0, Outcome::Unwell);
}
