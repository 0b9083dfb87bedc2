//! Objects that the API server must reject.

use serde_json::{Value, json};

use super::{artifact, serving};

/// An object and what the server must say about it.
pub(crate) struct BadObject {
    pub(crate) kind: &'static str,
    pub(crate) name: String,
    pub(crate) spec: Value,
    /// All of these are in the message.
    pub(crate) fragments: &'static [&'static str],
}

fn bad(kind: &'static str, spec: Value, fragments: &'static [&'static str]) -> BadObject {
    BadObject { kind, name: "a".into(), spec, fragments }
}

pub(crate) fn bad_objects() -> Vec<BadObject> {
    let groups = [names(), steps(), options(), workflows(), servings(), others()];
    groups.into_iter().flatten().collect()
}

fn names() -> Vec<BadObject> {
    let bad = |name: &str| BadObject {
        kind: "Workflow",
        name: name.to_owned(),
        spec: json!({"steps": [{"name": "s"}]}),
        fragments: &["metadata.name must have at most 40 lower-case letters", "Service"],
    };
    vec![bad("1a"), bad("a.b"), bad(&"a".repeat(41))]
}

fn steps() -> Vec<BadObject> {
    let bad = |step: Value, fragments| bad("Workflow", json!({"steps": [step]}), fragments);
    vec![
        bad(json!({"name": "S"}), &["spec.steps[0].name", "should match"]),
        bad(json!({"name": "s", "after": ["s"]}), &["spec.steps[0].after", "cannot wait for itself"]),
        bad(json!({"name": "s", "after": ["t", "t"]}), &["after[1]", "Duplicate"]),
        bad(json!({"name": "s", "timeoutSeconds": 0}), &["timeoutSeconds", "1"]),
        bad(json!({"name": "s", "timeoutSeconds": 3601}), &["timeoutSeconds", "3600"]),
        bad(json!({"name": "s", "timeoutSeconds": 1.5}), &["timeoutSeconds", "integer"]),
        bad(json!({"name": "s", "memoryMib": 31}), &["memoryMib", "32"]),
        bad(json!({"name": "s", "output": "string"}), &["output", "object"]),
        bad(json!({"name": "s", "examples": [{"input": 1}]}), &["examples[0].output", "Required"]),
        bad(json!({"name": "s", "checks": [{"name": "c", "expression": ""}]}), &["checks[0].expression"]),
    ]
}

fn options() -> Vec<BadObject> {
    let bad = |option: Value, fragments| {
        bad("Workflow", json!({"steps": [{"name": "s", "options": [option]}]}), fragments)
    };
    let long = "x".repeat(65_537);
    vec![
        bad(json!({"name": "o"}), &["options[0]", "exactly one of function and tool"]),
        bad(
            json!({"name": "o", "tool": "t", "function": {"language": "Bash"}}),
            &["options[0]", "exactly one of"],
        ),
        bad(json!({"name": "o", "function": {"language": "Cobol"}}), &["language", "\"Bash\""]),
        bad(json!({"name": "o", "function": {"source": "x"}}), &["language", "Required"]),
        bad(
            json!({"name": "o", "function": {"language": "Bash", "source": long}}),
            &["options[0].function.source", "65536"],
        ),
    ]
}

fn workflows() -> Vec<BadObject> {
    let long = json!({"language": "Bash", "source": "x".repeat(65_536)});
    let step =
        |index: usize| json!({"name": format!("s{index}"), "options": [{"name": "o", "function": long}]});
    let with = |field: &str, value: Value| json!({"steps": [{"name": "s"}], field: value});
    let many: Vec<_> = (0..65).map(|index| json!({"name": format!("s{index}")})).collect();
    let long_key = "x".repeat(64);
    vec![
        bad("Workflow", json!({}), &["spec.steps", "Required"]),
        bad("Workflow", json!({"steps": []}), &["spec.steps", "at least 1"]),
        bad("Workflow", json!({"steps": many}), &["spec.steps", "64"]),
        bad("Workflow", json!({"steps": [{"name": "s"}, {"name": "s"}]}), &["spec.steps[1]", "Duplicate"]),
        bad(
            "Workflow",
            json!({"steps": (0..9).map(step).collect::<Vec<_>>()}),
            &["spec.steps", "524288 characters", "move code into Tools"],
        ),
        bad("Workflow", with("quality", json!({"min": "75%"})), &["spec.quality.min", "should match"]),
        bad("Workflow", with("quality", json!({"min": "1.01"})), &["spec.quality.min", "should match"]),
        bad("Workflow", with("quality", json!({"min": 0.75})), &["spec.quality.min", "string"]),
        bad("Workflow", with("tags", json!({long_key: "x"})), &["spec.tags", "1 to 63 characters"]),
        bad("Workflow", with("evolution", json!({"keepGenerations": 51})), &["keepGenerations", "50"]),
    ]
}

fn servings() -> Vec<BadObject> {
    let bad = |value: Value, fragments| bad("Workflow", serving(&value), fragments);
    let resources = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}});
    vec![
        bad(json!({"mode": "Lonely"}), &["spec.serving.mode", "\"Dedicated\""]),
        bad(json!({"replicas": 2}), &["spec.serving.replicas: Forbidden", "set mode: Dedicated"]),
        bad(
            json!({"mode": "Shared", "resources": {}}),
            &["spec.serving.resources: Forbidden", "set mode: Dedicated"],
        ),
        bad(
            json!({"nodeSelector": {"a": "b"}}),
            &["spec.serving.nodeSelector: Forbidden", "set mode: Dedicated"],
        ),
        bad(
            json!({"runtimeClassName": "x"}),
            &["spec.serving.runtimeClassName: Forbidden", "set mode: Dedicated"],
        ),
        bad(
            json!({"mode": "Dedicated", "resources": resources}),
            &["spec.serving.resources.requests", "must not exceed limits.cpu"],
        ),
    ]
}

fn others() -> Vec<BadObject> {
    let artifact = |field: &str, value: Value| {
        let mut spec = artifact();
        spec[field] = value;
        spec
    };
    let tool = |kind: &str, member: &str| json!({"type": kind, member: {"source": "x"}});
    let small = json!({"type": "BashScript", "bashScript": {"source": "x"}, "constraints": {"memoryMib": 1}});
    vec![
        bad("WorkflowRun", json!({}), &["spec.workflow", "Required"]),
        bad("WorkflowRun", json!({"workflow": "a", "deadlineSeconds": 0}), &["deadlineSeconds", "1"]),
        bad(
            "WorkflowRun",
            json!({"workflow": "a", "ttlSecondsAfterFinished": -1}),
            &["ttlSecondsAfterFinished", "0"],
        ),
        bad("Artifact", artifact("digest", json!("sha256:00")), &["spec.digest", "should match"]),
        bad("Artifact", artifact("type", json!("Cake")), &["spec.type", "\"Function\""]),
        bad("Artifact", artifact("origin", json!({"kind": "Dream"})), &["spec.origin.kind", "\"Authored\""]),
        bad("Artifact", artifact("source", Value::Null), &["spec", "set source or sourceRef"]),
        bad("Tool", json!({"type": "PythonFunction"}), &["spec.pythonFunction", "must be set when type is"]),
        bad(
            "Tool",
            tool("BashScript", "pythonFunction"),
            &["spec.bashScript", "spec.pythonFunction", "match"],
        ),
        bad("Tool", tool("Oracle", "bashScript"), &["spec.type", "\"BashScript\""]),
        bad("Tool", json!({"type": "LocalLlm"}), &["spec.llm", "must be set when type is LocalLlm"]),
        bad("Tool", llm("CloudLlm", "http://h/v1", &json!({})), &["spec.llm", "pricing must be set"]),
        bad(
            "Tool",
            llm("LocalLlm", "http://user:pass@h/v1", &json!({})),
            &["spec.llm.endpoint", "should match"],
        ),
        bad(
            "Tool",
            llm("EmbeddingModel", "http://h", &json!({"api": "Anthropic"})),
            &["spec.llm", "has no embeddings"],
        ),
        bad(
            "Tool",
            json!({
                "type": "BashScript", "bashScript": {"source": "cat"}, "constraints": {"maxUsdPerHour": "1"},
            }),
            &["spec.constraints", "for language models"],
        ),
        bad("Tool", small, &["spec.constraints.memoryMib", "32"]),
    ]
}

/// A model at this endpoint.
fn llm(type_: &str, endpoint: &str, fields: &Value) -> Value {
    let mut spec = json!({"type": type_, "llm": {"endpoint": endpoint, "model": "m"}});
    for (name, value) in fields.as_object().into_iter().flatten() {
        spec["llm"][name] = value.clone();
    }
    spec
}
