//! Steps without code: a scripted model writes it, the jail proves it, and money is accounted for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use dise_tests::{Namespace, namespace::condition};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

const REVERSE: &str = "```python\ndef run(input):\n    return {\"text\": input[\"text\"][::-1]}\n```";
const WRONG: &str = "```python\ndef run(input):\n    return {\"text\": input[\"text\"].upper()}\n```";
const MEMORISED: &str = "```python\ndef run(input):\n    return {\"text\": {\"hello\": \"olleh\", \"a b\": \"b a\", \"stone\": \"enots\", \"kubernetes\": \"setenrebuk\", \"level up\": \"pu level\"}.get(input[\"text\"], \"\")}\n```";

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
