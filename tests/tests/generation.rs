//! Steps without code: a scripted model writes it, the jail proves it, and money is accounted for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dise_tests::{Namespace, namespace::condition};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

const REVERSE: &str = "```python\ndef run(input):\n    return {\"text\": input[\"text\"][::-1]}\n```";
const WRONG: &str = "```python\ndef run(input):\n    return {\"text\": input[\"text\"].upper()}\n```";
const MEMORISED: &str = "```python\ndef run(input):\n    return {\"text\": {\"hello\": \"olleh\", \"a b\": \"b a\", \"stone\": \"enots\", \"kubernetes\": \"setenrebuk\"}.get(input[\"text\"], \"\")}\n```";

/// A workflow of one step that nobody wrote code for; `fields` are further fields of its spec.
fn reverser(description: &str, fields: &Value) -> Value {
    let example = |text: &str| {
        let reversed: String = text.chars().rev().collect();
        json!({"input": {"text": text}, "output": {"text": reversed}})
    };
    let texts = ["hello", "a b", "", "stone", "kubernetes", "level up"];
    let mut workflow = json!({
        "steps": [{
            "name": "reverse",
            "description": description,
            "output": {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}},
            "examples": texts.map(example),
        }],
        "synthesis": {"candidates": 2, "repairRounds": 1},
    });
    for (field, value) in fields.as_object().unwrap() {
        workflow[field] = value.clone();
    }
    workflow
}

/// A model that gives these answers one after the other, and then the last one for ever.
fn answers(answers: &[&str]) -> Value {
    json!({"rules": [{"name": "all", "answers": answers}]})
}

fn priced() -> Value {
    json!({"pricing": {"inputUsdPerMillionTokens": "1", "outputUsdPerMillionTokens": "2"}})
}

async fn tool_is_ready(space: &Namespace, name: &str) {
    space.wait("Tool", name, "Ready", |ready| ready.status == "True").await;
}

#[tokio::test]
async fn a_step_without_code_is_written_proven_and_served() {
    Namespace::with("write", |space| async move {
        let model = space.scripted_model(&answers(&[REVERSE])).await;
        space.apply("Workflow", "mirror", &reverser("Reverse the text.", &json!({}))).await;
        assert_eq!(space.stalled("mirror").await.reason, "CodeMissing");

        space.model_tool("local", "LocalLlm", &json!({}), &json!({})).await;
        tool_is_ready(&space, "local").await;
        let workflow = space.ready("mirror").await;
        assert_eq!(
            space.run("mirror", &json!({"text": "DiSE"})).await.body["output"],
            json!({"text": "ESiD"})
        );

        assert_eq!(condition(&workflow, "Synthesized").unwrap().status, "True");
        assert_eq!(workflow["status"]["spend"]["totalUsd"], "0");
        assert_eq!(workflow["status"]["steps"][0]["search"]["outcome"], "Found");
        let artifact = &space.list("Artifact").await[0];
        assert_eq!(artifact["spec"]["origin"]["kind"], "Synthesis");
        assert_eq!(artifact["spec"]["origin"]["tool"], "local");
        assert_eq!(artifact["status"]["tests"], "6/6");
        let asked = model.chats().await;
        let prompt = asked[0]["body"].to_string();
        assert!(prompt.contains("Reverse the text."), "{prompt}");

        // What is proven stays, whatever becomes of the model.
        space.api("Tool").delete("local", &DeleteParams::default()).await.unwrap();
        space
            .apply("Workflow", "mirror", &reverser("Reverse the text.", &json!({"description": "Other."})))
            .await;
        space.ready("mirror").await;
        assert_eq!(model.chats().await.len(), asked.len());
    })
    .await;
}

#[tokio::test]
async fn a_wrong_draft_is_repaired_with_its_failing_case() {
    Namespace::with("repair", |space| async move {
        let model = space.scripted_model(&answers(&[WRONG, WRONG, REVERSE])).await;
        space.model_tool("local", "LocalLlm", &json!({}), &json!({})).await;
        tool_is_ready(&space, "local").await;
        space.apply("Workflow", "mirror", &reverser("Reverse the text.", &json!({}))).await;
        space.ready("mirror").await;
        let asked = model.chats().await;
        let repair = asked.last().unwrap()["body"].to_string();
        assert!(repair.contains("upper()") && repair.contains("olleh"), "{repair}");
    })
    .await;
}

#[tokio::test]
async fn a_search_that_finds_nothing_says_why_and_is_tried_again_when_asked() {
    Namespace::with("nothing", |space| async move {
        let model = space.scripted_model(&answers(&[WRONG])).await;
        space.model_tool("cloud", "CloudLlm", &priced(), &json!({})).await;
        tool_is_ready(&space, "cloud").await;
        let spec = reverser(
            "Reverse.",
            &json!({"synthesis": {"tool": "cloud", "candidates": 2, "repairRounds": 1}}),
        );
        space.apply("Workflow", "mirror", &spec).await;
        let failed = space.stalled("mirror").await;
        assert_eq!(failed.reason, "NoCandidatePassed");
        assert!(failed.message.contains("kubectl dise retry"), "{}", failed.message);
        let workflow = space.get("Workflow", "mirror").await;
        let best = &workflow["status"]["steps"][0]["search"]["bestCandidate"];
        assert!(best["source"].as_str().unwrap().contains("upper()"), "{best}");
        assert!(best["failures"][0].as_str().unwrap().contains("example"), "{best}");
        let spent = &workflow["status"]["spend"]["totalUsd"];
        assert_ne!(spent, "0", "what failed was paid for");

        model.script(&answers(&[REVERSE])).await;
        let retry = json!({"metadata": {"annotations": {"dise.dev/retry": "2026-11-24T00:00:00Z"}}});
        space.api("Workflow").patch("mirror", &PatchParams::default(), &Patch::Merge(&retry)).await.unwrap();
        space.ready("mirror").await;
    })
    .await;
}

#[tokio::test]
async fn code_that_looks_the_examples_up_is_named_for_what_it_is() {
    Namespace::with("memorised", |space| async move {
        space.scripted_model(&answers(&[MEMORISED])).await;
        space.model_tool("local", "LocalLlm", &json!({}), &json!({})).await;
        tool_is_ready(&space, "local").await;
        space.apply("Workflow", "mirror", &reverser("Reverse the text.", &json!({}))).await;
        let failed = space.stalled("mirror").await;
        assert_eq!(failed.reason, "NoCandidatePassed");
        assert!(failed.message.contains("memorised"), "{}", failed.message);
        let workflow = space.get("Workflow", "mirror").await;
        assert_eq!(workflow["status"]["steps"][0]["search"]["bestCandidate"]["reason"], "Memorised");
    })
    .await;
}

#[tokio::test]
async fn two_workflows_that_ask_for_the_same_pay_once() {
    Namespace::with("once", |space| async move {
        let slow = json!({"rules": [{"name": "all", "answers": [{"text": REVERSE, "delaySeconds": 1}]}]});
        let model = space.scripted_model(&slow).await;
        space.model_tool("cloud", "CloudLlm", &priced(), &json!({})).await;
        tool_is_ready(&space, "cloud").await;
        let fields = json!({"synthesis": {"tool": "cloud", "candidates": 2, "repairRounds": 0}});
        for name in ["one", "two"] {
            space.apply("Workflow", name, &reverser("Reverse the text.", &fields)).await;
        }
        // Another budget makes another search of the same task, whose calls are the same.
        let mut other = fields.clone();
        other["budget"] = json!({"maxUsdPerSearch": "0.9"});
        space.apply("Workflow", "three", &reverser("Reverse the text.", &other)).await;
        for name in ["one", "two", "three"] {
            space.ready(name).await;
        }
        assert_eq!(model.chats().await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_call_that_could_exceed_a_budget_is_not_made() {
    Namespace::with("budget", |space| async move {
        let model = space.scripted_model(&answers(&[REVERSE])).await;
        space.model_tool("cloud", "CloudLlm", &priced(), &json!({})).await;
        tool_is_ready(&space, "cloud").await;
        let fields = |budget: &str| {
            json!({
                "synthesis": {"tool": "cloud", "candidates": 2, "repairRounds": 0},
                "budget": {"maxUsdPerSearch": budget},
            })
        };
        space.apply("Workflow", "mirror", &reverser("Reverse.", &fields("0.000001"))).await;
        let stalled = space.stalled("mirror").await;
        assert_eq!(stalled.reason, "OutOfBudget");
        assert!(stalled.message.contains("$0.000001"), "{}", stalled.message);
        assert!(model.chats().await.is_empty());

        space.apply("Workflow", "mirror", &reverser("Reverse.", &fields("1"))).await;
        let workflow = space.ready("mirror").await;
        assert_ne!(workflow["status"]["spend"]["totalUsd"], "0");
    })
    .await;
}

#[tokio::test]
async fn a_search_that_is_killed_repeats_no_call_whose_answer_it_has() {
    Namespace::with("killed", |space| async move {
        let script = json!({"rules": [{
            "name": "all", "answers": [WRONG, {"text": REVERSE, "delaySeconds": 4}],
        }]});
        let model = space.scripted_model(&script).await;
        space.model_tool("cloud", "CloudLlm", &priced(), &json!({})).await;
        tool_is_ready(&space, "cloud").await;
        let fields = json!({"synthesis": {"tool": "cloud", "candidates": 2, "repairRounds": 0}});
        space.apply("Workflow", "mirror", &reverser("Reverse.", &fields)).await;
        model.asked(2).await;
        let pods = space.list("v1 Pod").await;
        let searching = |pod: &&Value| pod["metadata"]["labels"]["dise.dev/role"] == "synthesize";
        let pod = pods.iter().find(searching).unwrap()["metadata"]["name"].as_str().unwrap();
        let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
        space.api("v1 Pod").delete(pod, &now).await.unwrap();

        space.ready("mirror").await;
        let prompts: Vec<String> = model.chats().await.iter().map(|chat| chat["body"].to_string()).collect();
        let first = prompts.iter().filter(|prompt| **prompt == prompts[0]).count();
        assert_eq!(first, 1, "the answer to the first call was stored: {prompts:?}");
        // The call that was under way may have been charged: it stays booked.
        let spent = space.get("Workflow", "mirror").await["status"]["spend"]["totalUsd"].clone();
        assert_ne!(spent, "0");
    })
    .await;
}

#[tokio::test]
async fn a_model_that_does_not_answer_is_reported_and_waited_for() {
    Namespace::with("silent", |space| async move {
        let model = space.scripted_model(&json!({"apiKey": "sk-right", "rules": []})).await;
        space.model_tool("local", "LocalLlm", &json!({}), &json!({})).await;
        space.apply("Workflow", "mirror", &reverser("Reverse the text.", &json!({}))).await;
        let refused = space.wait("Tool", "local", "Ready", |ready| ready.status == "False").await;
        assert!(refused.message.contains("key"), "{}", refused.message);
        let waiting = |ready: &dise_tests::namespace::Condition| ready.reason == "ToolNotReady";
        space.wait("Workflow", "mirror", "Ready", waiting).await;

        model.script(&answers(&[REVERSE])).await;
        tool_is_ready(&space, "local").await;
        space.ready("mirror").await;
    })
    .await;
}

#[tokio::test]
async fn what_the_memory_has_is_taken_at_no_cost_and_credited() {
    Namespace::with("memory", |space| async move {
        let model = space.scripted_model(&answers(&[REVERSE])).await;
        space.model_tool("cloud", "CloudLlm", &priced(), &json!({})).await;
        tool_is_ready(&space, "cloud").await;
        let fields = json!({"synthesis": {"tool": "cloud", "candidates": 1, "repairRounds": 0}});
        space.apply("Workflow", "first", &reverser("Reverse the text.", &fields)).await;
        let first = space.ready("first").await;
        let paid = model.chats().await.len();

        // Another task: its examples are others, and so it was never searched for.
        let mut second = reverser("Give the text back with its characters in reverse order.", &fields);
        second["steps"][0]["examples"] =
            json!([{"input": {"text": "xyz"}, "output": {"text": "zyx"}}, {"input": {"text": "12"}, "output": {"text": "21"}}]);
        space.apply("Workflow", "second", &second).await;
        let second = space.ready("second").await;
        assert_eq!(model.chats().await.len(), paid, "the memory has it");
        assert_eq!(second["status"]["spend"]["totalUsd"], "0");
        assert_eq!(second["status"]["spend"]["savedUsd"], first["status"]["spend"]["totalUsd"]);
        let artifacts = space.list("Artifact").await;
        let reused = artifacts.iter().find(|artifact| artifact["spec"]["workflow"] == "second").unwrap();
        assert_eq!(reused["spec"]["origin"]["kind"], "Reuse");
        let parent = reused["spec"]["parent"].as_str().unwrap();
        space
            .until("the reuse is credited", || async {
                let parent = space.get("Artifact", parent).await;
                (parent["status"]["reuseCount"] == 1 && parent["status"]["savedUsd"] != "0").then_some(())
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn people_search_the_memory_of_their_own_namespace() {
    Namespace::with("search", |space| async move {
        space.apply("Workflow", "sum", &dise_tests::spec::adder(1)).await;
        space.ready("sum").await;
        let token = space.reader_token().await;
        let found = space
            .until("the function is found", || async {
                let found = space
                    .search(Some(&token), &json!({"text": "sum", "filter": {"kinds": ["Function"]}}))
                    .await;
                found["hits"].as_array().filter(|hits| !hits.is_empty()).cloned()
            })
            .await;
        assert!(found[0]["name"].as_str().unwrap().starts_with("sum-only-code-"), "{found:?}");
        assert_eq!(found[0]["quality"], "1");
        let none = space.search(Some(&token), &json!({"text": "sum", "filter": {"kinds": ["Tool"]}})).await;
        assert_eq!(none["hits"], json!([]));
        let unknown = space.search(Some(&token), &json!({"filter": {"kinds": ["Cake"]}})).await;
        assert!(unknown["detail"].as_str().unwrap().contains("Function, Workflow"), "{unknown}");
        assert_eq!(space.search(None, &json!({"text": "sum"})).await["status"], 401);
        assert_eq!(space.search(Some("forged"), &json!({"text": "sum"})).await["status"], 401);
    })
    .await;
}

#[tokio::test]
async fn the_key_of_a_model_is_nowhere_but_in_its_secret() {
    const KEY: &str = "sk-e2e-3f9c1d7a55";
    Namespace::with("key", |space| async move {
        // The server repeats the key that it was shown, in an answer and in a refusal.
        let leaky = format!("The key {{{{apiKey}}}} is mine.\n{REVERSE}");
        let refusal = json!({"status": 500, "message": "cannot use {{apiKey}}"});
        let model = space
            .scripted_model(&json!({"apiKey": KEY, "rules": [{"name": "all", "answers": [refusal, leaky]}]}))
            .await;
        space.secret("keys", "right", KEY).await;
        space.secret("other", "right", "sk-wrong").await;
        let secret = |name: &str| json!({"apiKeySecret": {"name": name, "key": "right"}});
        space.model_tool("keyed", "LocalLlm", &secret("keys"), &json!({})).await;
        space.model_tool("wrong", "LocalLlm", &secret("other"), &json!({})).await;
        space.model_tool("absent", "LocalLlm", &secret("nowhere"), &json!({})).await;
        let absent = space.wait("Tool", "absent", "Ready", |ready| ready.status == "False").await;
        assert!(absent.message.contains("Secret `nowhere`"), "{}", absent.message);
        let wrong = space.wait("Tool", "wrong", "Ready", |ready| ready.status == "False").await;
        assert_eq!(wrong.reason, "KeyRefused");
        tool_is_ready(&space, "keyed").await;

        // A function that looks for the key wherever its process could.
        let thief = r#"
import glob
def run(input):
    found = ""
    for path in ["/var/run/dise-model/key", "/var/run/dise/token", "/proc/self/environ", "/proc/1/environ"]:
        try:
            found += open(path).read()
        except Exception:
            pass
    return {"text": found or input["text"][::-1]}
"#;
        space
            .apply(
                "Workflow",
                "thief",
                &dise_tests::spec::single(&dise_tests::spec::python(thief), &json!({})),
            )
            .await;
        let fields = json!({"synthesis": {"tool": "keyed", "candidates": 2, "repairRounds": 1}});
        space.apply("Workflow", "mirror", &reverser("Reverse the text.", &fields)).await;
        space.ready("mirror").await;
        space.ready("thief").await;
        assert_eq!(space.run("thief", &json!({"text": "ab"})).await.body["output"], json!({"text": "ba"}));
        assert!(model.chats().await.iter().any(|chat| chat["key"] == "right"));

        for kind in [
            "Workflow",
            "WorkflowRun",
            "Tool",
            "Artifact",
            "batch/v1 Job",
            "v1 Pod",
            "apps/v1 Deployment",
            "v1 Event",
            "events.k8s.io/v1 Event",
            "v1 ServiceAccount",
        ] {
            for object in space.list(kind).await {
                assert!(!object.to_string().contains(KEY), "{kind}: {object}");
            }
        }
        for (pod, log) in space.logs().await {
            assert!(!log.contains(KEY), "the log of {pod}");
        }
        for (key, content) in dise_tests::store::contents(&space.client, &space.name).await {
            assert!(!content.contains(KEY), "{key} in the bucket");
        }
    })
    .await;
}

#[tokio::test]
async fn models_are_spoken_to_in_their_own_protocol() {
    Namespace::with("protocols", |space| async move {
        let model = space.scripted_model(&answers(&[REVERSE])).await;
        space.model_tool("vectors", "EmbeddingModel", &json!({}), &json!({})).await;
        let ready = space.wait("Tool", "vectors", "Ready", |ready| ready.status == "True").await;
        assert_eq!(ready.message, "it answers with vectors of 64 dimensions");

        let mut claude = priced();
        claude["api"] = json!("Anthropic");
        claude["endpoint"] = json!(format!("http://model.{}.svc", space.name));
        space.model_tool("claude", "CloudLlm", &claude, &json!({})).await;
        tool_is_ready(&space, "claude").await;
        let fields = json!({"synthesis": {"tool": "claude", "candidates": 1, "repairRounds": 0}});
        space.apply("Workflow", "mirror", &reverser("Reverse the text.", &fields)).await;
        let workflow = space.ready("mirror").await;
        assert_ne!(workflow["status"]["spend"]["totalUsd"], "0");
        let asked = model.chats().await;
        assert!(asked.iter().all(|chat| chat["path"] == "/v1/messages"), "{asked:?}");
    })
    .await;
}
