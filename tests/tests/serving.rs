//! What callers of a workflow see while plans change, pods come and go, and too many call at once.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use dise_core::workflow::Schema;
use dise_tests::{
    Namespace,
    direct::{Direct, Response},
    spec::{adder, python, single},
    traffic::{Traffic, answered, expecting},
};
use futures::future::join_all;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

/// How many versions of the workflow there are; each adds its number.
const VERSIONS: usize = 4;
/// The versions in the order in which they are applied: new ones, and then some that are known already.
const ORDER: [usize; 9] = [0, 1, 2, 3, 1, 0, 2, 1, 3];

fn version(number: usize) -> Value {
    adder(i64::try_from(number).unwrap())
}

/// An answer, and the positions in [`ORDER`] of the plans that may have given it: the one that all executors served
/// when the request was sent, and the one that was declared last when the answer had come.
struct Seen {
    plan: String,
    sum: usize,
    settled: usize,
    declared: usize,
}

/// Where the test is in [`ORDER`].
#[derive(Default)]
struct Progress {
    settled: AtomicUsize,
    declared: AtomicUsize,
}

fn observing(
    direct: Direct,
    progress: Arc<Progress>,
) -> impl Fn() -> futures::future::BoxFuture<'static, Result<Seen, String>> + Send + Sync + 'static {
    move || {
        let (direct, progress) = (direct.clone(), Arc::clone(&progress));
        Box::pin(async move {
            let settled = progress.settled.load(SeqCst);
            let answer = answered(direct.try_run(&json!({"n": 0})).await)?;
            let declared = progress.declared.load(SeqCst);
            let sum = answer.body["output"]["n"].as_u64().and_then(|sum| usize::try_from(sum).ok());
            let plan = answer.body["plan"].as_str().unwrap_or_default().to_owned();
            sum.map(|sum| Seen { plan, sum, settled, declared }).ok_or(answer.text)
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_are_swapped_without_a_failed_or_a_wrong_answer() {
    Namespace::with("swap", |space| async move {
        space.apply("Workflow", "sum", &version(ORDER[0])).await;
        let mut plans = BTreeMap::new();
        let plan = |workflow: &Value| workflow["status"]["planHash"].as_str().unwrap().to_owned();
        plans.insert(ORDER[0], plan(&space.ready("sum").await));
        let progress = Arc::new(Progress::default());
        let kept = join_all((0..6).map(|_| space.direct("sum"))).await;
        let anew = join_all((0..2).map(|_| space.reconnecting("sum"))).await;
        let clients = kept.into_iter().chain(anew).map(|client| observing(client, Arc::clone(&progress)));
        let traffic = Traffic::start(clients, Duration::from_millis(5));

        for (position, number) in ORDER.into_iter().enumerate().skip(1) {
            tokio::time::sleep(Duration::from_millis(300)).await;
            progress.declared.store(position, SeqCst);
            space.apply("Workflow", "sum", &version(number)).await;
            let served = plan(&space.ready("sum").await);
            progress.settled.store(position, SeqCst);
            assert_eq!(plans.entry(number).or_insert_with(|| served.clone()), &served);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let tally = traffic.stop().await;
        tally.expect_all("clients", 1000);
        assert_eq!(plans.len(), VERSIONS);
        for seen in &tally.answers {
            assert_eq!(
                plans.get(&seen.sum),
                Some(&seen.plan),
                "an answer of one plan under the name of another"
            );
            let possible = &ORDER[seen.settled..=seen.declared];
            assert!(
                possible.contains(&seen.sum),
                "version {} answered where {possible:?} were served",
                seen.sum
            );
        }
        for position in 0..ORDER.len() {
            let alone = |seen: &&Seen| seen.settled == position && seen.declared == position;
            assert!(tally.answers.iter().any(|seen| alone(&seen)), "nobody called during version {position}");
        }
    })
    .await;
}

/// Waits until a Deployment has come to rest with all replicas of its present template.
async fn rolled_out(space: &Namespace, deployment: &str, replicas: i64) {
    let done = || async {
        let found = space.get("apps/v1 Deployment", deployment).await;
        let (status, generation) = (&found["status"], &found["metadata"]["generation"]);
        let all = ["replicas", "updatedReplicas", "readyReplicas", "availableReplicas"];
        let complete =
            status["observedGeneration"] == *generation && all.iter().all(|count| status[*count] == replicas);
        complete.then_some(())
    };
    space.until("the Deployment has rolled out", done).await;
    let gone = || async { (executors(&space.list("v1 Pod").await).count() == 2).then_some(()) };
    space.until("the old pods are gone", gone).await;
}

/// The names of the pods that serve.
fn executors(pods: &[Value]) -> impl Iterator<Item = &str> {
    let serve = pods.iter().filter(|pod| pod["metadata"]["labels"]["dise.dev/role"] == "executor");
    serve.map(|pod| pod["metadata"]["name"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_are_replaced_without_a_failed_request() {
    Namespace::with("rollout", |space| async move {
        let mut spec = adder(1);
        spec["serving"] = json!({"mode": "Dedicated", "replicas": 2});
        space.apply("Workflow", "sum", &spec).await;
        space.ready("sum").await;
        rolled_out(&space, "sum-executor", 2).await;
        let anew = join_all((0..4).map(|_| space.reconnecting("sum"))).await;
        let kept = join_all((0..4).map(|_| space.direct("sum"))).await;
        let call = |client| expecting(client, json!({"n": 1}), json!({"n": 2}));
        let anew = Traffic::start(anew.into_iter().map(call), Duration::from_millis(10));
        let kept = Traffic::start(kept.into_iter().map(call), Duration::from_millis(10));

        let pods = space.list("v1 Pod").await;
        let before: Vec<_> = executors(&pods).collect();
        space.api("v1 Pod").delete(before[0], &DeleteParams::default()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(2)).await;
        rolled_out(&space, "sum-executor", 2).await;
        // What `kubectl rollout restart` does.
        let restart = json!({"spec": {"template": {"metadata": {"annotations": {"restarted": "now"}}}}});
        let deployments = space.api("apps/v1 Deployment");
        deployments.patch("sum-executor", &PatchParams::default(), &Patch::Merge(&restart)).await.unwrap();
        rolled_out(&space, "sum-executor", 2).await;

        anew.stop().await.expect_all("clients that connect anew", 500);
        kept.stop().await.expect_all("clients that keep their connection", 500);
        let pods = space.list("v1 Pod").await;
        assert!(executors(&pods).all(|pod| !before.contains(&pod)), "no pod was replaced");
    })
    .await;
}

#[tokio::test]
async fn the_description_tells_how_to_call_and_what_comes_back() {
    Namespace::with("openapi", |space| async move {
        let mut spec = adder(1);
        spec["description"] = json!("Adds one.");
        spec["result"] = json!({"sum": "${steps.only.n}"});
        space.apply("Workflow", "sum", &spec).await;
        space.ready("sum").await;
        let direct = space.direct("sum").await;
        let document = direct.get("/openapi.json").await.body;
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
        assert!(document["info"]["title"].as_str().unwrap().contains(&space.name));
        let paths = document["paths"].as_object().unwrap();
        assert_eq!(paths.keys().collect::<Vec<_>>(), ["/v1/workflows/sum/run"]);
        let operation = &paths["/v1/workflows/sum/run"]["post"];
        assert_eq!((&operation["operationId"], &operation["summary"]), (&json!("sum"), &json!("Adds one.")));
        let content = |part: &Value, media: &str| part["content"][media]["schema"].clone();
        // A `$ref` is one into the document, so the schemas need its components.
        let compile = |mut schema: Value| {
            schema["components"] = document["components"].clone();
            Schema::compile(&schema).unwrap()
        };
        let request = compile(content(&operation["requestBody"], "application/json"));
        assert!(request.check(&json!({"input": {"n": 1}, "deadlineMs": 50})).is_ok());
        assert_eq!(request.check(&json!({"input": {"n": "1"}})).unwrap_err().pointer, "/input/n");
        let result = compile(content(&operation["responses"]["200"], "application/json"));
        let answer = direct.run(&json!({"n": 1})).await;
        result.check(&answer.body).unwrap();
        assert!(result.check(&json!({"output": {"sum": "x"}})).is_err());
        for (status, answer) in
            [("400", direct.run(&json!({"n": "x"})).await), ("404", direct.get("/x").await)]
        {
            let problem = compile(content(&operation["responses"][status], "application/problem+json"));
            assert_eq!(answer.status.to_string(), status);
            problem.check(&answer.body).unwrap();
        }
    })
    .await;
}

/// Fails, sleeps, or doubles, as told.
const MOODY: &str = "
import time

def run(input):
    if input['n'] < 0:
        raise ValueError('negative')
    time.sleep(input.get('seconds', 0))
    return {'n': input['n'] * 2}
";

fn moody() -> Value {
    let number = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
    let step = json!({
        "output": number,
        "examples": [{"input": {"n": 1}, "output": {"n": 2}}],
        "checks": [{"name": "small", "expression": "output.n < 10"}, {"name": "even", "expression": "output.n % 2 == 0"}],
    });
    let mut workflow = single(&python(MOODY), &step);
    workflow["input"] = number;
    workflow
}

/// The samples of a text in the format of Prometheus: name and labels → value.
fn samples(text: &str) -> BTreeMap<&str, &str> {
    text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' ')).collect()
}

#[tokio::test]
async fn the_metrics_count_what_happened() {
    Namespace::with("metrics", |space| async move {
        space.apply("Workflow", "moody", &moody()).await;
        space.ready("moody").await;
        let direct = space.direct("moody").await;
        // 7 succeed, for 2 of them a check does not hold; 3 fail; 4 are no executions.
        for n in [1, 2, 3, 4, 0, 5, 6, -1, -2, -3] {
            direct.run(&json!({"n": n})).await;
        }
        for _ in 0..4 {
            direct.run(&json!({"n": "x"})).await;
        }
        direct.run_raw("nonsense").await;
        let metrics = direct.get("/metrics").await;
        assert!(metrics.header("content-type").starts_with("text/plain; version=0.0.4"));
        let found = samples(&metrics.text);
        let space = format!("namespace=\"{}\"", space.name);
        let workflow = "workflow=\"moody\"";
        let step = format!("generation=\"1\",{space},option=\"code\"");
        let step_end = format!("step=\"only\",{workflow}");
        for (series, value) in [
            (format!("dise_executions_total{{{space},outcome=\"Succeeded\",{workflow}}}"), "7"),
            (format!("dise_executions_total{{{space},outcome=\"Raised\",{workflow}}}"), "3"),
            (format!("dise_execution_seconds_count{{{space},{workflow}}}"), "7"),
            (format!("dise_rejections_total{{{space},reason=\"InvalidInput\",{workflow}}}"), "4"),
            (format!("dise_rejections_total{{{space},reason=\"InvalidRequest\",{workflow}}}"), "1"),
            (format!("dise_step_executions_total{{{step},outcome=\"Succeeded\",{step_end}}}"), "7"),
            (format!("dise_step_executions_total{{{step},outcome=\"Raised\",{step_end}}}"), "3"),
            (format!("dise_step_seconds_count{{{step},{step_end}}}"), "7"),
            (format!("dise_step_quality_count{{{step},{step_end}}}"), "7"),
            (format!("dise_step_quality_sum{{{step},{step_end}}}"), "6"),
        ] {
            assert_eq!(found.get(series.as_str()), Some(&value), "{series} in\n{}", metrics.text);
        }
        assert!(found["dise_workers"].parse::<u32>().unwrap() >= 1);
        let seconds: f64 =
            found[format!("dise_step_seconds_sum{{{step},{step_end}}}").as_str()].parse().unwrap();
        assert!(seconds > 0.0 && seconds < 7.0);
    })
    .await;
}

#[tokio::test]
async fn a_request_is_given_up_at_its_own_deadline() {
    Namespace::with("deadline", |space| async move {
        space.apply("Workflow", "moody", &moody()).await;
        space.ready("moody").await;
        let direct = space.direct("moody").await;
        let body = |seconds: f64, deadline: u32| {
            json!({"input": {"n": 1, "seconds": seconds}, "deadlineMs": deadline}).to_string()
        };
        let start = Instant::now();
        let late = direct.run_raw(body(20.0, 300)).await;
        let took = start.elapsed();
        assert_eq!(late.problem_faults(504, "DeadlineExceeded"), Vec::<String>::new());
        let detail = late.body["detail"].as_str().unwrap();
        assert!(detail.contains("the deadline of the request passed in step `only`"), "{detail}");
        assert!(took >= Duration::from_millis(300) && took < Duration::from_secs(3), "{took:?}");
        // The same call is given the time that it needs, and the others go on.
        assert_eq!(direct.run_raw(body(0.5, 5000)).await.body["output"], json!({"n": 2}));
        assert_eq!(direct.run(&json!({"n": 3})).await.body["output"], json!({"n": 6}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_shed_and_leaves_nothing_behind() {
    /// More than an executor takes: 64 that run and 256 that wait, three quarters of them for one workflow.
    const CALLS: usize = 400;
    const TAKEN: usize = 240;
    Namespace::with("flood", |space| async move {
        space.apply("Workflow", "moody", &moody()).await;
        space.apply("Workflow", "calm", &adder(1)).await;
        space.ready("moody").await;
        space.ready("calm").await;
        let (direct, calm) = (space.direct("moody").await, space.direct("calm").await);
        let slow = json!({"input": {"n": 1, "seconds": 0.5}, "deadlineMs": 4000}).to_string();
        let start = Instant::now();
        let neighbour =
            Traffic::start([expecting(calm, json!({"n": 1}), json!({"n": 2}))], Duration::from_millis(50));
        let flood = join_all((0..CALLS).map(|_| direct.run_raw(slow.clone()))).await;
        let took = start.elapsed();

        let count = |status: u16| flood.iter().filter(|answer| answer.status == status).count();
        let by_status: BTreeMap<u16, usize> =
            flood.iter().map(|answer| (answer.status, count(answer.status))).collect();
        let shed: Vec<&Response> = flood.iter().filter(|answer| answer.status == 429).collect();
        // Those that waited and those that were turned away: nobody was forgotten, nothing broke.
        assert!(by_status.keys().all(|status| [200, 429, 504].contains(status)), "{by_status:?}");
        assert!(shed.len() >= CALLS - TAKEN, "{by_status:?}");
        assert!(count(200) >= 8, "{by_status:?}");
        for answer in shed {
            assert_eq!(answer.problem_faults(429, "Overloaded"), Vec::<String>::new());
            assert_eq!(answer.header("retry-after"), "1");
        }
        assert!(took < Duration::from_secs(15), "{took:?}");
        neighbour.stop().await.expect_all("another workflow", 20);

        let calls = (0..20).map(|n| direct.run_raw(json!({"input": {"n": n}}).to_string()));
        for (n, answer) in join_all(calls).await.into_iter().enumerate() {
            assert_eq!((answer.status, &answer.body["output"]["n"]), (200, &json!(2 * n)), "{}", answer.text);
        }
    })
    .await;
}
