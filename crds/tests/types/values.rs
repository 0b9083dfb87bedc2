//! Objects as people write them survive the types.

use dise_crds::{
    Artifact, Language, ServingMode, StepState, StepStatus, Tool, Workflow, WorkflowRun, WorkflowSpec,
    WorkflowStatus,
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

#[track_caller]
fn assert_survives<K: Serialize + DeserializeOwned>(object: &Value) {
    let typed: K = serde_json::from_value(object.clone()).unwrap();
    assert_eq!(serde_json::to_value(typed).unwrap(), *object);
}

fn object(kind: &str, spec: &Value, status: &Value) -> Value {
    json!({
        "apiVersion": "dise.dev/v1alpha1", "kind": kind, "metadata": {"name": "a", "namespace": "shop"},
        "spec": spec, "status": status,
    })
}

fn conditions() -> Value {
    json!([{
        "type": "Ready", "status": "True", "reason": "Serving", "message": "", "observedGeneration": 2,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    }])
}

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_complete_workflow_survives() {
    let spec = json!({
        "description": "Sort reviews.", "tags": {"domain": "sentiment"},
        "input": {"type": "object", "required": ["text"]},
        "steps": [{
            "name": "clean", "description": "Strip.", "input": {"text": "${input.text}"}, "output": {"type": "object"},
            "examples": [{"input": {"text": 1.5}, "output": null}],
            "checks": [{"name": "known", "expression": "true"}],
            "options": [
                {"name": "code", "function": {"language": "Python", "source": "def run(input): return input"}},
                {"name": "shared", "tool": "cleaner"},
            ],
            "after": ["other"], "timeoutSeconds": 5, "memoryMib": 64,
        }],
        "result": {"text": "${steps.clean.text}"}, "quality": {"min": "0.75"},
        "serving": {
            "mode": "Dedicated", "replicas": 0, "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
            "nodeSelector": {"kubernetes.io/arch": "arm64"}, "runtimeClassName": "gvisor",
        },
        "evolution": {"keepGenerations": 3},
        "synthesis": {
            "tool": "gpt", "candidates": 2, "repairRounds": 1, "temperatures": ["0.5"], "generatedTests": 4, "recall": 0,
        },
        "budget": {"maxUsdPerSearch": "0.10", "maxUsdPerDay": "1"},
    });
    let status = json!({
        "observedGeneration": 2, "conditions": conditions(), "planHash": DIGEST, "quality": "0.93",
        "p95LatencyMs": "1.84", "costUsdPerRun": "0.0004", "executions": 7,
        "lastExecutionTime": "2026-01-02T03:04:05Z", "bottleneck": {"step": "clean", "timePercent": 77},
        "steps": [{
            "name": "clean", "activeOption": "code", "artifact": "a-clean-1", "generation": 1, "tests": "12/12",
            "state": "Ready",
            "search": {
                "outcome": "NothingPassed", "candidates": 3, "calls": 4, "spentUsd": "0.012",
                "bestCandidate": {"reason": "Failed", "tests": "1/2", "failures": ["example 1: no"], "source": "x"},
            },
        }],
        "spend": {"totalUsd": "0.012", "savedUsd": "0.1"},
        "replicas": 1, "selector": "app=a",
    });
    assert_survives::<Workflow>(&object("Workflow", &spec, &status));
}

#[test]
fn a_complete_run_survives() {
    let spec =
        json!({"workflow": "a", "input": [1, "x"], "deadlineSeconds": 60, "ttlSecondsAfterFinished": 0});
    let status = json!({
        "observedGeneration": 1, "conditions": conditions(), "output": false,
        "outputRef": {"digest": DIGEST, "sizeBytes": 40000}, "quality": "1", "costUsd": "0", "latencyMs": "0.41",
        "startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T03:04:06Z",
        "steps": [{"name": "clean", "option": "code", "artifact": "x", "latencyMs": "0.4", "costUsd": "0"}],
    });
    assert_survives::<WorkflowRun>(&object("WorkflowRun", &spec, &status));
}

#[test]
fn a_complete_artifact_survives() {
    let spec = json!({
        "type": "Function", "language": "Bash", "description": "Strip.", "tags": {"a": "b"}, "digest": DIGEST,
        "sourceRef": "blobs/x", "source": "cat", "testsDigest": DIGEST, "parent": "b", "origin": {"kind": "Authored"},
        "workflow": "a", "step": "clean", "option": "code",
    });
    let status = json!({
        "observedGeneration": 1, "conditions": conditions(), "tests": "11/12", "usageCount": 9,
        "lastUsed": "2026-01-02T03:04:05Z", "generation": 2,
        "verification": {
            "passed": 11, "failed": 1, "coveragePercent": "97.5", "at": "2026-01-02T03:04:05Z", "runner": "0.1.0",
        },
        "profile": {
            "quality": "0.9167", "qualityLowerBound": "0.6461", "p50LatencyMs": "0.41", "p95LatencyMs": "1.84",
            "costUsd": "0", "peakMemoryKib": 9000, "samples": 12, "measuredAt": "2026-01-02T03:04:05Z",
        },
    });
    assert_survives::<Artifact>(&object("Artifact", &spec, &status));
}

#[test]
fn a_complete_tool_survives() {
    let spec = json!({
        "type": "BashScript", "description": "Echo.", "bashScript": {"source": "cat"}, "output": {"type": "object"},
        "examples": [{"input": 1, "output": 1}], "constraints": {"timeoutSeconds": 5, "memoryMib": 64},
    });
    let status = json!({"observedGeneration": 1, "conditions": conditions(), "digest": DIGEST});
    assert_survives::<Tool>(&object("Tool", &spec, &status));
}

#[test]
fn absent_values_get_their_defaults() {
    let spec: WorkflowSpec = serde_json::from_value(json!({"steps": [{"name": "a"}]})).unwrap();
    assert_eq!((spec.steps[0].timeout_seconds, spec.steps[0].memory_mib), (30, 256));
    assert_eq!(spec.serving.mode, ServingMode::Shared);
    assert_eq!(spec.evolution.keep_generations, 5);
}

#[test]
fn absent_values_are_not_written() {
    let status = serde_json::to_value(WorkflowStatus::default()).unwrap();
    assert_eq!(status, json!({}), "server-side apply would own these fields");
    let step = serde_json::to_value(StepStatus { name: "a".into(), ..StepStatus::default() }).unwrap();
    assert_eq!(step, json!({"name": "a", "state": "Pending"}));
}

#[test]
fn a_status_of_a_newer_release_is_readable() {
    let status: WorkflowStatus = serde_json::from_value(json!({
        "steps": [{"name": "a", "state": "Dreaming", "mood": "good"}], "novelty": {"x": 1},
    }))
    .unwrap();
    assert_eq!(status.steps[0].state, StepState::Unknown);
}

#[test]
fn an_unknown_word_in_a_spec_is_a_fault() {
    assert!(serde_json::from_value::<Language>(json!("Cobol")).is_err());
}
