//! What users and models get wrong, on a real cluster: declarations that are refused, code that is refuted, and code
//! that fails while it serves. Every message names the place and what to do, and nobody else notices.
//!
//! What the API server itself rejects (wrong types, missing fields, values out of range) is in `api.rs`; here is only
//! that nothing unknown gets past a strict request.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "bad_input/code.rs"]
mod code;
#[path = "bad_input/declarations.rs"]
mod declarations;
#[path = "bad_input/moods.rs"]
mod moods;

use std::time::{Duration, Instant};

use dise_tests::{
    Namespace,
    direct::{Direct, Response},
    namespace::condition,
    spec::adder,
    traffic::{Traffic, expecting},
};
use futures::future::join_all;
use serde_json::{Value, json};

use self::moods::Mood;

/// What the fragments say that are not in a message.
fn missing(name: &str, message: &str, fragments: &[&str]) -> Vec<String> {
    let missing = fragments.iter().filter(|fragment| !message.contains(**fragment));
    missing.map(|fragment| format!("{name}: {fragment:?} is not in: {message}")).collect()
}

/// What is wrong with the conditions of a workflow that must not become ready for `reason`.
async fn check_refusal(space: &Namespace, name: &str, reason: &str, fragments: &[&str]) -> Vec<String> {
    let ready = space.stalled(name).await;
    let workflow = space.get("Workflow", name).await;
    let mut faults = missing(name, &ready.message, fragments);
    let stalled = condition(&workflow, "Stalled").map(|stalled| (stalled.status, stalled.reason));
    if (ready.status.as_str(), ready.reason.as_str()) != ("False", reason) {
        faults.push(format!("{name}: Ready is {ready:?}, not False for {reason}"));
    }
    if stalled != Some(("True".to_owned(), reason.to_owned())) {
        faults.push(format!("{name}: Stalled is {stalled:?}"));
    }
    if condition(&workflow, "Reconciling").is_some() {
        faults.push(format!("{name}: still Reconciling"));
    }
    faults
}

fn report(faults: Vec<Vec<String>>) {
    let faults: Vec<String> = faults.into_iter().flatten().collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[tokio::test]
async fn wrong_declarations_are_refused_with_place_and_remedy() {
    Namespace::with("refused", |space| async move {
        let refused = declarations::refused();
        join_all(refused.iter().map(|case| space.apply("Workflow", case.name, &case.spec))).await;
        let checks = refused.iter().map(|case| check_refusal(&space, case.name, case.reason, case.fragments));
        report(join_all(checks).await);
        // Nothing of it was run, and nothing is kept for it.
        for kind in ["batch/v1 Job", "v1 Service", "apps/v1 Deployment", "Artifact"] {
            assert!(space.list(kind).await.is_empty(), "{kind}");
        }
        // Each heals once it is declared right.
        space.apply("Workflow", "cycle", &adder(1)).await;
        space.ready("cycle").await;
    })
    .await;
}

/// Misspelled fields would be dropped silently otherwise. `kubectl apply` asks for this by default.
#[tokio::test]
async fn a_strict_request_rejects_what_is_unknown() {
    Namespace::with("strict", |space| async move {
        for (spec, fragment) in [
            (json!({"steps": [{"name": "s", "timeoutSecond": 3}]}), "unknown field \"spec.steps[0].timeoutSecond\""),
            (json!({"steps": [{"name": "s"}], "servings": {}}), "unknown field \"spec.servings\""),
            (
                json!({"steps": [{"name": "s", "options": [{"name": "o", "function": {"languge": "Bash"}}]}]}),
                "unknown field \"spec.steps[0].options[0].function.languge\"",
            ),
        ] {
            let object = json!({
                "apiVersion": "dise.dev/v1alpha1", "kind": "Workflow", "metadata": {"name": "w"}, "spec": spec,
            });
            let path = format!(
                "/apis/dise.dev/v1alpha1/namespaces/{}/workflows?fieldValidation=Strict&dryRun=All",
                space.name
            );
            let request = http::Request::post(path).header("content-type", "application/json");
            let request = request.body(object.to_string().into_bytes()).unwrap();
            let refusal = space.client.request_text(request).await.unwrap_err().to_string();
            assert!(refusal.contains(fragment), "{fragment}: {refusal}");
        }
    })
    .await;
}

#[tokio::test]
async fn bad_code_is_refuted_while_the_rest_of_the_namespace_serves() {
    Namespace::with("refuted", |space| async move {
        space.apply("Workflow", "healthy", &adder(1)).await;
        space.ready("healthy").await;
        let direct = space.direct("healthy").await;
        let call = || expecting(direct.clone(), json!({"n": 41}), json!({"n": 42}));
        let traffic = Traffic::start([call(), call()], Duration::from_millis(20));

        let (refuted, start) = (code::refuted(), Instant::now());
        join_all(refuted.iter().map(|case| space.apply("Workflow", case.name, &case.spec))).await;
        let checks =
            refuted.iter().map(|case| check_refusal(&space, case.name, "VerificationFailed", case.fragments));
        let faults = join_all(checks).await;
        // Their own limits add up to some 10 s. Nothing else may hold the others up.
        let took = start.elapsed();

        traffic.stop().await.expect_all("healthy", 50);
        report(faults);
        assert!(took < Duration::from_secs(45), "{} verdicts took {took:?}", refuted.len());
        for case in &refuted {
            let answer = direct.of(case.name).run(&json!({})).await;
            assert_eq!(
                (answer.status, &answer.body["reason"]),
                (404, &json!("UnknownWorkflow")),
                "{}",
                case.name
            );
        }
        let served = direct.get("/v1/workflows").await;
        assert_eq!(served.body["workflows"].as_object().unwrap().len(), 1, "{}", served.text);
    })
    .await;
}

/// What is wrong with the answer to an order.
fn check_mood(mood: &Mood, answer: &Response) -> Vec<String> {
    let Mood { order, status, reason, fragments } = mood;
    let detail = answer.body["detail"].as_str().unwrap_or_default();
    let mut faults = answer.problem_faults(*status, reason);
    faults.extend(missing(order, detail, fragments));
    if answer.body["step"] != "only" {
        faults.push(format!("the step is not named: {}", answer.text));
    }
    if answer.body["instance"].as_str().is_none_or(|id| !id.starts_with("urn:uuid:")) {
        faults.push(format!("the execution is not named: {}", answer.text));
    }
    if *order == "misfit" && answer.body["pointer"] != "/n" {
        faults.push(format!("the place is not named: {}", answer.text));
    }
    // What the function prints and what its source says are not for its callers.
    for inner in ["secret of", "def ", "lambda", "root:", "eyJ"] {
        if answer.text.contains(inner) {
            faults.push(format!("{inner} is told to the caller: {}", answer.text));
        }
    }
    faults.into_iter().map(|fault| format!("{order}: {fault}")).collect()
}

/// Gives every order, one after the other and then all at once.
async fn check_moods(direct: &Direct, moods: &[Mood]) -> Vec<String> {
    let mut faults = Vec::new();
    for mood in moods {
        faults.extend(check_mood(mood, &direct.run(&json!({"do": mood.order})).await));
        let next = direct.run(&json!({"do": "work"})).await;
        if (next.status, &next.body["output"]) != (200, &json!({"n": 1})) {
            faults.push(format!("after {}: {}", mood.order, next.text));
        }
    }
    faults
}

#[tokio::test]
async fn code_that_fails_while_it_serves_harms_its_own_call_alone() {
    Namespace::with("moody", |space| async move {
        space.apply("Workflow", "healthy", &adder(1)).await;
        space.apply("Workflow", "moody", &moods::python_workflow()).await;
        space.apply("Workflow", "script", &moods::bash_workflow()).await;
        join_all(["healthy", "moody", "script"].map(|name| space.ready(name))).await;
        let direct = space.direct("moody").await;
        let healthy = || expecting(direct.of("healthy"), json!({"n": 41}), json!({"n": 42}));
        let working = |name| expecting(direct.of(name), json!({"do": "work"}), json!({"n": 1}));
        let others = Traffic::start([healthy(), healthy()], Duration::from_millis(20));
        let same_function = Traffic::start([working("moody"), working("script")], Duration::from_millis(50));

        let faults = [
            check_moods(&direct, &moods::python_moods()).await,
            check_moods(&direct.of("script"), &moods::bash_moods()).await,
        ];
        others.stop().await.expect_all("another workflow", 100);
        same_function.stop().await.expect_all("other calls of the same function", 50);
        report(faults.into());
        // The process that serves is still the first.
        let pods = space.list("v1 Pod").await;
        let restarts = |pod: &Value| pod["status"]["containerStatuses"][0]["restartCount"].as_i64().unwrap();
        assert!(pods.iter().all(|pod| restarts(pod) == 0));
    })
    .await;
}

#[tokio::test]
async fn a_call_that_hangs_holds_no_other_call_up() {
    Namespace::with("hangs", |space| async move {
        space.apply("Workflow", "moody", &moods::python_workflow()).await;
        space.ready("moody").await;
        let direct = space.direct("moody").await;
        // One after the other, which is what one worker is enough for.
        for _ in 0..20 {
            assert_eq!(direct.run(&json!({"do": "work"})).await.status, 200);
        }
        let hanging = tokio::spawn({
            let direct = direct.clone();
            let order = json!({"do": "loop"});
            async move { direct.run(&order).await.status }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        let start = Instant::now();
        let work = json!({"do": "work"});
        let others = join_all((0..5).map(|_| direct.run(&work))).await;
        let took = start.elapsed();
        for answer in others {
            assert_eq!(answer.status, 200, "after {took:?}: {}", answer.text);
        }
        assert!(took < Duration::from_millis(800), "they waited for {took:?} behind a call that hangs");
        assert_eq!(hanging.await.unwrap(), 504);
    })
    .await;
}

#[tokio::test]
async fn requests_that_are_none_are_answered_with_what_is_wrong() {
    Namespace::with("requests", |space| async move {
        space.apply("Workflow", "moody", &moods::python_workflow()).await;
        space.ready("moody").await;
        let direct = space.direct("moody").await;
        let mut faults = Vec::new();
        for (body, reason, pointer, fragments) in [
            ("", "InvalidRequest", None, &["not JSON", "expected {\"input\""][..]),
            ("{\"input\":\n {\"do\": }}", "InvalidRequest", None, &["not JSON", "line 2 column 9"]),
            ("[{\"do\": \"work\"}]", "InvalidRequest", None, &["not a request", "array"]),
            ("{}", "InvalidRequest", None, &["missing field `input`"]),
            (
                "{\"input\": {\"do\": \"work\"}, \"inputs\": 1}",
                "InvalidRequest",
                None,
                &["unknown field `inputs`"],
            ),
            ("{\"input\": {\"do\": \"work\"}, \"deadlineMs\": 0}", "InvalidRequest", None, &["deadlineMs"]),
            (
                "{\"input\": {\"do\": \"work\"}, \"deadlineMs\": \"1\"}",
                "InvalidRequest",
                None,
                &["u32", "column"],
            ),
            ("{\"input\": {\"do\": NaN}}", "InvalidRequest", None, &["not JSON"]),
            ("{\"input\": {\"do\": \"work\"}} {}", "InvalidRequest", None, &["trailing"]),
            ("{\"input\": {\"do\": 5}}", "InvalidInput", Some("/do"), &["5", "string"]),
            (
                "{\"input\": {\"do\": \"work\", \"n\": [1, \"b\"]}}",
                "InvalidInput",
                Some("/n/1"),
                &["integer"],
            ),
            ("{\"input\": {}}", "InvalidInput", Some(""), &["do", "required"]),
            ("{\"input\": {\"do\": \"work\", \"dont\": 1}}", "InvalidInput", Some(""), &["dont"]),
            ("{\"input\": null}", "InvalidInput", Some(""), &["object"]),
        ] {
            let answer = direct.run_raw(body).await;
            faults.push(answer.problem_faults(400, reason));
            faults.push(missing(body, answer.body["detail"].as_str().unwrap_or_default(), fragments));
            if answer.body["pointer"].as_str() != pointer {
                faults.push(vec![format!("{body}: the pointer is not {pointer:?}: {}", answer.text)]);
            }
        }
        let deep = format!("{{\"input\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        faults.push(direct.run_raw(deep).await.problem_faults(400, "InvalidRequest"));
        faults
            .push(direct.run_raw(&b"{\"input\": \"\xff\"}"[..]).await.problem_faults(400, "InvalidRequest"));
        report(faults);
    })
    .await;
}

#[tokio::test]
async fn bodies_are_taken_up_to_ten_mebibytes() {
    const LIMIT: usize = 10 << 20;
    Namespace::with("bodies", |space| async move {
        space.apply("Workflow", "moody", &moods::python_workflow()).await;
        space.ready("moody").await;
        let direct = space.direct("moody").await;
        let body = |size: usize| {
            let empty = json!({"input": {"do": "work", "text": ""}}).to_string();
            empty.replace("\"\"", &format!("\"{}\"", "x".repeat(size - empty.len())))
        };
        let fits = direct.run_raw(body(LIMIT)).await;
        assert_eq!((fits.status, &fits.body["output"]), (200, &json!({"n": 1})), "{:.500}", fits.text);
        let mut faults = Vec::new();
        for size in [LIMIT + 1, 3 * LIMIT] {
            let answer = direct.run_raw(body(size)).await;
            faults.push(answer.problem_faults(413, "TooLarge"));
            faults.push(missing("413", &answer.text, &["10485760 bytes", "pass a reference"]));
        }
        // Of unknown length, so that only counting helps.
        let parts = vec![Ok::<_, std::io::Error>(body(LIMIT)), Ok(" ".to_owned())];
        let stream = reqwest::Body::wrap_stream(futures::stream::iter(parts));
        faults.push(direct.run_raw(stream).await.problem_faults(413, "TooLarge"));
        report(faults);
        assert_eq!(direct.run(&json!({"do": "work"})).await.status, 200);
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_for_what_is_not_there_learns_what_is() {
    Namespace::with("lost", |space| async move {
        space.apply("Workflow", "moody", &moods::python_workflow()).await;
        space.ready("moody").await;
        let direct = space.direct("moody").await;
        let get = async |path| direct.get(path).await;
        let unknown = direct.of("moodi").run(&json!({})).await;
        report(vec![
            unknown.problem_faults(404, "UnknownWorkflow"),
            missing("workflow", &unknown.text, &["`moody`", "`moodi` is not among them"]),
            get("/v1/runs").await.problem_faults(404, "UnknownPath"),
            missing("path", &get("/v2").await.text, &["/v2", "/openapi.json"]),
            get("/v1/workflows/moody/run").await.problem_faults(405, "WrongMethod"),
        ]);
    })
    .await;
}
