//! The API as a real API server enforces it: what it accepts, what it rejects and with which words.
//!
//! Runs when `KUBECONFIG` is set. `DISE_REQUIRE_CLUSTER=1` turns its absence into a failure. Every test works in a
//! namespace of its own and deletes it; only the definitions stay.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "api/bad_objects.rs"]
mod bad_objects;
#[path = "api/server.rs"]
mod server;

use std::time::Duration;

use kube::api::{ListParams, Patch, PatchParams, Request};
use serde_json::{Value, json};

use self::{
    bad_objects::{BadObject, bad_objects},
    server::{PATIENCE, Server},
};

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub(crate) fn serving(serving: &Value) -> Value {
    json!({"steps": [{"name": "s"}], "serving": serving})
}

pub(crate) fn artifact() -> Value {
    json!({
        "type": "Function", "language": "Python", "digest": DIGEST, "source": "def run(input): return input",
        "origin": {"kind": "Authored"}, "workflow": "a", "step": "s", "option": "code",
    })
}

#[tokio::test]
async fn bad_objects_are_rejected_with_a_reason() {
    Server::with("bad", |server| async move {
        let mut faults = Vec::new();
        for BadObject { kind, name, spec, fragments } in bad_objects() {
            match server.preview(kind, &name, &spec).await {
                Ok(_) => faults.push(format!("{kind} {fragments:?}: accepted")),
                Err(message) => {
                    let missing = fragments.iter().filter(|fragment| !message.contains(**fragment));
                    faults.extend(missing.map(|part| format!("{kind}: {part:?} is not in: {message:.600}")));
                }
            }
        }
        assert!(faults.is_empty(), "{}", faults.join("\n\n"));
    })
    .await;
}

#[tokio::test]
async fn defaults_are_written_and_nulls_dropped() {
    Server::with("defaults", |server| async move {
        let spec = json!({
            "description": null, "quality": null, "serving": null,
            "steps": [{
                "name": "s", "timeoutSeconds": null, "input": {"deep": [null, 1.5, {"y": null}]},
                "examples": [{"input": null, "output": null}, {"input": "text", "output": [true]}],
                "options": [{"name": "o", "tool": "t", "function": null}],
            }],
        });
        let stored = server.preview("Workflow", "a", &spec).await.unwrap().data["spec"].clone();
        let expected = json!({
            "serving": {"mode": "Shared"}, "evolution": {"keepGenerations": 5},
            "budget": {"maxUsdPerSearch": "1", "maxUsdPerDay": "5"},
            "synthesis": {
                "candidates": 3, "repairRounds": 2, "temperatures": ["0", "0.4", "0.8"], "generatedTests": 0, "recall": 5,
            },
            "steps": [{
                "name": "s", "timeoutSeconds": 30, "memoryMib": 256, "input": {"deep": [null, 1.5, {"y": null}]},
                "examples": [{"input": null, "output": null}, {"input": "text", "output": [true]}],
                "options": [{"name": "o", "tool": "t"}],
            }],
        });
        assert_eq!(stored, expected);
    })
    .await;
}

#[tokio::test]
async fn the_largest_objects_are_accepted() {
    Server::with("large", |server| async move {
        let step = |step: usize| {
            let option = |option: usize| {
                json!({"name": format!("o{option}"), "function": {"language": "Bash", "source": "x".repeat(512)}})
            };
            json!({
                "name": format!("s{step}"), "options": (0..16).map(option).collect::<Vec<_>>(),
                "after": (0..64).filter(|other| *other != step).map(|other| format!("s{other}")).collect::<Vec<_>>(),
            })
        };
        let spec = json!({"steps": (0..64).map(step).collect::<Vec<_>>()});
        server.create("Workflow", "a", &spec).await;
        server.merge("Workflow", "a", &json!({"metadata": {"labels": {"x": "y"}}})).await.unwrap();

        let items: Vec<_> = (0..100_000).collect();
        server.create("WorkflowRun", "a", &json!({"workflow": "a", "input": items})).await;
        server.merge("WorkflowRun", "a", &json!({"metadata": {"labels": {"x": "y"}}})).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn runs_and_artifacts_do_not_change() {
    Server::with("immutable", |server| async move {
        for (name, input) in
            [("object", json!({"x": {"y": [1, null]}})), ("scalar", json!(5)), ("list", json!([[]]))]
        {
            server
                .create("WorkflowRun", name, &json!({"workflow": "a", "input": input, "deadlineSeconds": 9}))
                .await;
        }
        server.create("WorkflowRun", "none", &json!({"workflow": "a"})).await;
        server.create("Artifact", "code", &artifact()).await;
        for (kind, name, change) in [
            ("WorkflowRun", "object", json!({"workflow": "b"})),
            ("WorkflowRun", "object", json!({"input": {"x": {"y": [1, 2]}}})),
            ("WorkflowRun", "object", json!({"input": null})),
            ("WorkflowRun", "object", json!({"deadlineSeconds": null})),
            ("WorkflowRun", "object", json!({"ttlSecondsAfterFinished": 1})),
            ("WorkflowRun", "scalar", json!({"input": 6})),
            ("WorkflowRun", "scalar", json!({"input": {"x": 1}})),
            ("WorkflowRun", "list", json!({"input": [[1]]})),
            ("WorkflowRun", "none", json!({"input": 0})),
            ("Artifact", "code", json!({"source": "pass"})),
            ("Artifact", "code", json!({"tags": {"a": "b"}})),
            ("Artifact", "code", json!({"step": null})),
        ] {
            let fault = server.merge(kind, name, &json!({"spec": change})).await.err().unwrap_or_default();
            let says =
                fault.contains("spec: Forbidden") && fault.contains("cannot be changed; create another");
            assert!(says, "{kind} {name} {change}: {fault:?}");
        }
        for (kind, name) in [("WorkflowRun", "object"), ("WorkflowRun", "scalar"), ("WorkflowRun", "list")]
            .into_iter()
            .chain([("WorkflowRun", "none"), ("Artifact", "code")])
        {
            server.merge(kind, name, &json!({"metadata": {"labels": {"x": "y"}}})).await.unwrap();
            server.merge_status(kind, name, &json!({"observedGeneration": 1})).await.unwrap();
        }
    })
    .await;
}

fn condition(kind: &str, status: &str) -> Value {
    json!({
        "type": kind, "status": status, "reason": "Tested", "message": "", "observedGeneration": 1,
        "lastTransitionTime": "2026-01-02T03:04:05Z",
    })
}

#[tokio::test]
async fn status_and_spec_are_written_apart() {
    Server::with("status", |server| async move {
        server.create("Workflow", "a", &serving(&json!({}))).await;
        let patch = json!({"status": {"quality": "0.5"}, "spec": {"description": "x"}});
        let stored = server.merge("Workflow", "a", &patch).await.unwrap();
        assert_eq!((stored.metadata.generation, stored.data.get("status")), (Some(2), None));
        let stored = server.merge_status("Workflow", "a", &json!({"quality": "0.5"})).await.unwrap();
        assert_eq!((stored.metadata.generation, &stored.data["status"]["quality"]), (Some(2), &json!("0.5")));

        for (status, fragment) in [
            (json!({"conditions": [condition("Ready", "Maybe")]}), "\"Unknown\""),
            (json!({"p95LatencyMs": 1.5}), "string"),
            (json!({"steps": [{"name": "s", "state": "Dreaming"}]}), "\"Verifying\""),
        ] {
            let fault = server.merge_status("Workflow", "a", &status).await.err().unwrap_or_default();
            assert!(fault.contains(fragment), "{status}: {fault:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn results_keep_their_nulls() {
    Server::with("results", |server| async move {
        server.create("WorkflowRun", "a", &json!({"workflow": "a"})).await;
        let status = json!({"output": ["any", {"json": null, "deep": [{"x": null}]}]});
        // Not a merge patch, which takes a null for a removal.
        let patch = json!({"apiVersion": "dise.dev/v1alpha1", "kind": "WorkflowRun", "status": status});
        let stored = server
            .api("WorkflowRun")
            .patch_status("a", &PatchParams::apply("test"), &Patch::Apply(patch))
            .await;
        assert_eq!(stored.unwrap().data["status"], status);
    })
    .await;
}

#[tokio::test]
async fn conditions_of_several_writers_live_side_by_side() {
    Server::with("conditions", |server| async move {
        server.create("Workflow", "a", &serving(&json!({}))).await;
        // Not the words of the operator, which may run on this cluster and write its own beside these.
        for kind in ["First", "Second"] {
            let patch = json!({
                "apiVersion": "dise.dev/v1alpha1", "kind": "Workflow",
                "status": {"conditions": [condition(kind, "True")]},
            });
            let writer = PatchParams::apply(kind);
            server.api("Workflow").patch_status("a", &writer, &Patch::Apply(patch)).await.unwrap();
        }
        let stored = server.api("Workflow").get("a").await.unwrap();
        let types = stored.data["status"]["conditions"].as_array().unwrap().iter();
        let types: Vec<_> = types.filter_map(|condition| condition["type"].as_str()).collect();
        assert!(types.contains(&"First") && types.contains(&"Second"), "{types:?}");
    })
    .await;
}

#[tokio::test]
async fn dedicated_workflows_can_be_scaled() {
    Server::with("scale", |server| async move {
        server.create("Workflow", "own", &serving(&json!({"mode": "Dedicated", "replicas": 1}))).await;
        server.merge_status("Workflow", "own", &json!({"replicas": 1, "selector": "app=own"})).await.unwrap();
        let api = server.api("Workflow");
        let scale = api.get_scale("own").await.unwrap();
        assert_eq!(scale.spec.unwrap().replicas, Some(1));
        assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=own"));
        let three = Patch::Merge(json!({"spec": {"replicas": 3}}));
        api.patch_scale("own", &PatchParams::default(), &three).await.unwrap();
        assert_eq!(api.get("own").await.unwrap().data["spec"]["serving"]["replicas"], 3);

        server.create("Workflow", "shared", &serving(&json!({}))).await;
        let fault = api.patch_scale("shared", &PatchParams::default(), &three).await.unwrap_err().to_string();
        assert!(fault.contains("spec.serving.replicas: Forbidden"), "{fault}");
    })
    .await;
}

#[tokio::test]
async fn columns_show_what_matters() {
    Server::with("columns", |server| async move {
        server.create("Workflow", "a", &serving(&json!({}))).await;
        server.create("WorkflowRun", "a", &json!({"workflow": "b"})).await;
        server.create("Artifact", "a", &artifact()).await;
        server.create("Tool", "a", &json!({"type": "BashScript", "bashScript": {"source": "cat"}})).await;
        for kind in ["Workflow", "WorkflowRun", "Tool"] {
            server.freeze(kind, "a").await;
        }
        let time = "2026-01-02T03:04:05Z";
        let statuses = [
            (
                "Workflow",
                json!({
                    "conditions": [condition("Ready", "True")], "quality": "0.93", "costUsdPerRun": "0.0004",
                    "p95LatencyMs": "1.84", "executions": 7,
                }),
            ),
            ("WorkflowRun", json!({"conditions": [condition("Succeeded", "True")], "latencyMs": "0.41"})),
            (
                "Artifact",
                json!({
                    "tests": "12/12", "usageCount": 9, "generation": 2,
                    "profile": {
                        "quality": "1", "p50LatencyMs": "1", "p95LatencyMs": "2.5", "costUsd": "0", "samples": 12,
                        "measuredAt": time,
                    },
                }),
            ),
            ("Tool", json!({"conditions": [condition("Ready", "False")]})),
        ];
        let workflow = ["NAME", "READY", "REASON", "QUALITY", "COST/RUN", "P95", "RUNS", "AGE"];
        let run = ["NAME", "SUCCEEDED", "REASON", "LATENCY", "WORKFLOW", "AGE"];
        let artifact = ["NAME", "TYPE", "QUALITY", "TESTS", "USES", "P95", "GEN", "AGE"];
        let tool = ["NAME", "TYPE", "READY", "REASON", "AGE"];
        let expected = [
            ("workflows", &workflow[..], json!(["a", "True", "Tested", "0.93", "0.0004", "1.84", 7])),
            ("workflowruns", &run, json!(["a", "True", "Tested", "0.41", "b"])),
            ("artifacts", &artifact, json!(["a", "Function", "1", "12/12", 9, "2.5", 2])),
            ("tools", &tool, json!(["a", "BashScript", "False", "Tested"])),
        ];
        let mut found = Vec::new();
        for ((kind, status), (plural, _, cells)) in statuses.iter().zip(&expected) {
            found.push(server.shown(kind, status, plural, cells).await);
        }
        for kind in ["Workflow", "WorkflowRun", "Tool"] {
            server.thaw(kind, "a").await;
        }
        for ((plural, names, cells), (found_names, found_cells)) in expected.iter().zip(found) {
            assert_eq!(found_names, *names);
            assert_eq!(found_cells, *cells, "{plural}");
        }
    })
    .await;
}

#[tokio::test]
async fn runs_are_found_by_their_workflow() {
    Server::with("fields", |server| async move {
        for name in ["one", "two"] {
            server.create("WorkflowRun", name, &json!({"workflow": name})).await;
        }
        let selected = ListParams::default().fields("spec.workflow=two");
        let runs = server.api("WorkflowRun").list(&selected).await.unwrap();
        let names: Vec<_> = runs.items.iter().filter_map(|run| run.metadata.name.as_deref()).collect();
        assert_eq!(names, ["two"]);
    })
    .await;
}

#[tokio::test]
async fn the_server_can_explain_every_field() {
    Server::with("explain", |server| async move {
        let request =
            Request::new("/openapi/v3/apis/dise.dev/v1alpha1").list(&ListParams::default()).unwrap();
        let published = async {
            loop {
                let document: Value = server.client.request(request.clone()).await.unwrap_or_default();
                let schema = &document["components"]["schemas"]["dev.dise.v1alpha1.Workflow"];
                let step = &schema["properties"]["spec"]["properties"]["steps"]["items"]["properties"];
                let text = step["timeoutSeconds"]["description"].as_str().unwrap_or_default();
                if text == "Seconds that one call may take, 1 to 3600. Default: 30." {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        tokio::time::timeout(PATIENCE, published).await.unwrap();
    })
    .await;
}
