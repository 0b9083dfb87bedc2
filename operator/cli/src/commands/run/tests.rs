use dise_crds::conditions::{SUCCEEDED, Status, condition};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::cluster::fake;

fn finished(status: Status, reason: &str) -> WorkflowRun {
    let condition = condition(SUCCEEDED, status, reason, "because", None, Timestamp::UNIX_EPOCH);
    let status = WorkflowRunStatus {
        conditions: vec![condition],
        latency_ms: Some("1.84".into()),
        cost_usd: Some("0".into()),
        ..WorkflowRunStatus::default()
    };
    WorkflowRun { metadata: ObjectMeta::default(), spec: WorkflowRunSpec::default(), status: Some(status) }
}

#[tokio::test]
async fn creates_a_run_with_a_name_of_its_own() {
    let (cluster, log) = fake::cluster(|seen| {
        let mut created = seen.body.clone();
        created["metadata"] = json!({"name": "triage-x7k2p"});
        (201, created.to_string())
    });
    let run = create(&cluster, "triage", Some(json!({"text": "x"}))).await.unwrap();
    assert_eq!(run.name_any(), "triage-x7k2p");
    let seen = log.lock().unwrap()[0].clone();
    assert_eq!(
        (seen.method.as_str(), seen.path.as_str()),
        ("POST", "/apis/dise.dev/v1alpha1/namespaces/shop/workflowruns")
    );
    assert_eq!(seen.body["metadata"], json!({"generateName": "triage-"}));
    assert_eq!(seen.body["spec"], json!({"workflow": "triage", "input": {"text": "x"}}));
}

#[test]
fn reads_the_input_from_the_command_line_and_from_files() {
    assert_eq!(read_input("{\"a\": [1]}").unwrap(), json!({"a": [1]}));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{\"a\": 2}").unwrap();
    assert_eq!(read_input(&format!("@{}", file.path().display())).unwrap(), json!({"a": 2}));
    assert!(read_input("text").unwrap_err().0.contains("text needs quotes of JSON"));
    assert!(read_input("@/nowhere").unwrap_err().0.contains("/nowhere"));
}

#[test]
fn waits_while_nothing_is_decided() {
    let mut progress = Progress::default();
    let new = WorkflowRun { status: None, ..finished(Status::Unknown, "Running") };
    assert!(progress.look(Some(&new)).is_none());
    assert!(progress.look(Some(&finished(Status::Unknown, "Running"))).is_none());
    assert!(matches!(progress.look(Some(&finished(Status::False, "Raised"))), Some(End::Ended(_))));
    assert!(matches!(progress.look(None), Some(End::Deleted)));
}

#[test]
fn tells_success_from_failure() {
    assert_eq!(succeeded(&finished(Status::True, "Succeeded")), Some(true));
    assert_eq!(succeeded(&finished(Status::False, "Raised")), Some(false));
    assert_eq!(succeeded(&finished(Status::Unknown, "Running")), None);
    assert_eq!(summary(&finished(Status::False, "Raised")), "Raised: because (1.84 ms, $0)");
}
