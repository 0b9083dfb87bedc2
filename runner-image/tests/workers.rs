//! The pools: framing, pipelining, limits on numbers, and what a killed worker means for its neighbours.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod jail_support;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use dise_core::function::Limits;
use dise_runner::workers::{CallError, Callable, Workers};
use jail_support::{
    NEIGHBOUR, call, call_in, eventually, expect_error, hostile_with, limits, python, workers, workers_with,
};
use serde_json::{Value, json};

const COUNTER: &str = "n = 0\ndef run(i):\n    global n\n    n += 1\n    return n\n";

/// Writes replies of its own; `request` is the frame of the running call, found in the memory of the harness.
const FORGER: &str = "
import os, sys

def request_id():
    frame = sys._getframe(1)
    while 'request' not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals['request']

def frame(request, body, kind=b'\\0'):
    return len(body).to_bytes(4, 'little') + request + kind + body

def run(input):
    if input == 'honest':
        return 'honest'
    if input == 'twice':
        os.write(3, frame(request_id(), b'\"forged\"'))
        return 'real'
    if input == 'next':
        os.write(3, frame(request_id(), b'\"mine\"') + frame(b'12345678', b'\"forged\"'))
        return 'real'
    if input == 'garbage':
        os.write(3, b'x' * 100)
    if input == 'long':
        os.write(3, frame(request_id(), b'1' * (8 << 20)))
    if input == 'not json':
        os.write(3, frame(request_id(), b'{forged'))
    if input == 'part':
        os.write(3, (100).to_bytes(4, 'little') + request_id() + b'\\0' + b'[')
    if input == 'kind':
        os.write(3, frame(request_id(), b'1', b'\\7'))
    return 'real'
";

#[tokio::test(flavor = "multi_thread")]
async fn forged_and_surplus_frames_kill_the_worker_and_reach_nobody_else() {
    let workers = workers_with(|settings| settings.max_workers_per_function = 1);
    let forger = python(FORGER);
    for round in 0..20 {
        for input in ["twice", "next"] {
            // The forger may lie to whoever called it, and to nobody else.
            let own = call(&workers, &forger, &json!(input)).await.unwrap();
            assert!(own == json!("forged") || own == json!("mine"));
            if round % 2 == 0 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            assert_eq!(call(&workers, &forger, &json!("honest")).await, Ok(json!("honest")));
        }
    }
    for input in ["garbage", "not json", "kind"] {
        let outcome = call(&workers, &forger, &json!(input)).await;
        expect_error(outcome, "ProtocolViolation", &["was killed", "file descriptors"]);
        assert_eq!(call(&workers, &forger, &json!("honest")).await, Ok(json!("honest")));
    }
    let outcome = call(&workers, &forger, &json!("long")).await;
    expect_error(outcome, "OutputTooLarge", &[]);
    let outcome = call_in(&workers, &forger, &limits(), &json!("part"), Duration::from_millis(500)).await;
    assert!(outcome.is_err());
    assert_eq!(call(&workers, &forger, &json!("honest")).await, Ok(json!("honest")));
    eventually("forgers are killed", || workers.stats().killed >= 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_what_the_harness_uses_changes_nothing() {
    let source = python(
        "
import builtins, gc, io, json, sys, _json, posix
for name in ('len', 'isinstance', 'int', 'bytes', 'str', 'type', 'id'):
    setattr(builtins, name, None)
json.dumps = json.loads = _json.make_encoder = posix.write = posix.read = None
sys.stdout = sys.stderr = None
sys.modules.clear()
def run(input):
    builtins.BaseException = None
    if input == 'raise':
        raise ValueError('as usual')
    return input
",
    );
    let workers = workers();
    for _ in 0..3 {
        assert_eq!(call(&workers, &source, &json!({"a": [1, "ü"]})).await, Ok(json!({"a": [1, "ü"]})));
        expect_error(call(&workers, &source, &json!("raise")).await, "Raised", &["ValueError: as usual"]);
    }
    assert_eq!(workers.stats().killed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_concurrent_calls_get_their_own_answers() {
    let workers = workers();
    let source = python("def run(i):\n    return [i, i * i]\n");
    let tasks = (0..2000_i64).map(|number| {
        let (workers, source) = (Arc::clone(&workers), Arc::clone(&source));
        tokio::spawn(async move {
            assert_eq!(call(&workers, &source, &json!(number)).await, Ok(json!([number, number * number])));
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let stats = workers.stats();
    assert!((1..=2).contains(&stats.workers) && stats.running == 0 && stats.queued == 0, "{stats:?}");
}

/// A worker whose function is known to be fast, so that its calls are pipelined.
async fn pipelined(source: &str, most: usize) -> (Arc<Workers>, Arc<Callable>) {
    let workers = workers_with(|settings| settings.max_workers_per_function = most);
    let callable = python(source);
    for _ in 0..50 {
        call(&workers, &callable, &json!("fast")).await.unwrap();
    }
    (workers, callable)
}

async fn eight(workers: &Arc<Workers>, callable: &Arc<Callable>, bad: &str) -> Vec<Result<Value, CallError>> {
    let tasks: Vec<_> = (0..8)
        .map(|index| {
            let (workers, callable) = (Arc::clone(workers), Arc::clone(callable));
            let input = if index == 3 { json!(bad) } else { json!(index) };
            let time = if index == 3 { Duration::from_millis(300) } else { Duration::from_secs(10) };
            tokio::spawn(async move { call_in(&workers, &callable, &limits(), &input, time).await?.value() })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_neighbours_survive_a_worker_that_is_killed() {
    let source = "import os, time\ndef run(i):\n    if i == 'loop':\n        while True: pass\n    if i == 'die':\n        os._exit(9)\n    if i == 'forge':\n        os.write(3, b'x' * 64)\n    return i\n";
    let (workers, callable) = pipelined(source, 1).await;
    for (bad, reason) in [("loop", "DeadlineExceeded"), ("die", "WorkerDied"), ("forge", "ProtocolViolation")]
    {
        let outcomes = eight(&workers, &callable, bad).await;
        for (index, outcome) in outcomes.into_iter().enumerate() {
            if index == 3 {
                expect_error(outcome, reason, &[]);
            } else {
                assert_eq!(outcome, Ok(json!(index)), "behind `{bad}`");
            }
        }
    }
    assert!(workers.stats().started >= 4);
}

/// Calls a function that takes as long as its input says, at the same time and in this order.
async fn at_once(
    workers: &Arc<Workers>,
    callable: &Arc<Callable>,
    seconds: &[f64],
    most: Duration,
) -> Vec<(Result<Value, CallError>, Duration)> {
    let start = Instant::now();
    let calls = seconds.iter().map(|seconds| async move {
        let outcome = call_in(workers, callable, &limits(), &json!(seconds), most).await;
        (outcome.and_then(|reply| reply.value()), start.elapsed())
    });
    futures::future::join_all(calls).await
}

const SLEEPER: &str = "import time\ndef run(i):\n    if i != 'fast' and i: time.sleep(i)\n    return i\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_hangs_holds_nobody_up_while_there_may_be_more_workers() {
    for hanging in 1..=3 {
        let (workers, sleeper) = pipelined(SLEEPER, 4).await;
        let mut seconds = vec![0.0; 8];
        seconds[..hanging].fill(60.0);
        let (first, later) =
            tokio::join!(at_once(&workers, &sleeper, &seconds, Duration::from_secs(2)), async {
                let mut later = Vec::new();
                for pause in [3, 8, 30, 100] {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    later.extend(at_once(&workers, &sleeper, &[0.0], Duration::from_secs(2)).await);
                }
                later
            });
        for (outcome, _) in &first[..hanging] {
            expect_error(outcome.clone(), "DeadlineExceeded", &[]);
        }
        for (outcome, took) in first[hanging..].iter().chain(&later) {
            assert_eq!(*outcome, Ok(json!(0.0)), "behind {hanging} that hang");
            assert!(*took < Duration::from_millis(600), "{took:?} behind {hanging} that hang");
        }
        assert_eq!(workers.stats().killed, hanging as u64);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_behind_one_that_hangs_wait_for_its_end_when_there_may_be_no_more_workers() {
    let (workers, sleeper) = pipelined(SLEEPER, 1).await;
    let waiting = at_once(&workers, &sleeper, &[0.0; 5], Duration::from_secs(5));
    let hanging = at_once(&workers, &sleeper, &[60.0], Duration::from_millis(400));
    let (hung, waited) = tokio::join!(hanging, waiting);
    expect_error(hung[0].0.clone(), "DeadlineExceeded", &[]);
    assert!(waited.iter().all(|(outcome, _)| *outcome == Ok(json!(0.0))), "{waited:?}");
    // Those that cannot wait for so long are told in time.
    let hanging = at_once(&workers, &sleeper, &[60.0], Duration::from_millis(600));
    let waiting = at_once(&workers, &sleeper, &[0.0; 3], Duration::from_millis(200));
    let soon = at_once(&workers, &sleeper, &[0.0; 3], Duration::from_millis(4));
    let (_, waiting, soon) = tokio::join!(hanging, waiting, soon);
    for (outcome, took) in
        waiting.into_iter().chain(soon.into_iter().map(|(outcome, took)| (outcome, took * 2)))
    {
        expect_error(outcome, "Busy", &[]);
        assert!(took < Duration::from_millis(350), "{took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replies_to_calls_that_left_a_slow_one_are_no_breach() {
    for most in [1, 2] {
        let (workers, sleeper) = pipelined(SLEEPER, most).await;
        for _ in 0..10 {
            let outcomes =
                at_once(&workers, &sleeper, &[0.05, 0.0, 0.0, 0.0, 0.0], Duration::from_secs(2)).await;
            for ((outcome, _), seconds) in outcomes.into_iter().zip([0.05, 0.0, 0.0, 0.0, 0.0]) {
                assert_eq!(outcome, Ok(json!(seconds)));
            }
            for _ in 0..40 {
                assert_eq!(call(&workers, &sleeper, &json!("fast")).await, Ok(json!("fast")));
            }
        }
        eventually("all of them are run", || workers.stats().running == 0).await;
        let stats = workers.stats();
        assert_eq!((stats.killed, stats.queued), (0, 0), "{stats:?}");
        assert!(stats.started <= most as u64, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_only_waited_is_busy_and_nobody_is_killed() {
    let workers = workers_with(|settings| settings.max_workers_per_function = 1);
    let slow = python("import time\ndef run(i):\n    time.sleep(i)\n    return i\n");
    call(&workers, &slow, &json!(0.01)).await.unwrap();
    let (theirs, callable) = (Arc::clone(&workers), Arc::clone(&slow));
    let first = tokio::spawn(async move { call(&theirs, &callable, &json!(0.6)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    let second = call_in(&workers, &slow, &limits(), &json!(0), Duration::from_millis(200)).await;
    assert!(start.elapsed() < Duration::from_millis(450));
    let error =
        expect_error(second.map(|_| Value::Null), "Busy", &["1 run 1 calls", "more cores or replicas"]);
    assert!(error.is_transient());
    assert_eq!(first.await.unwrap(), Ok(json!(0.6)));
    assert_eq!(workers.stats().killed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_leaves_the_worker_in_order() {
    let workers = workers_with(|settings| settings.max_workers_per_function = 1);
    let slow = python("import time\ndef run(i):\n    time.sleep(i[0])\n    return i[1]\n");
    call(&workers, &slow, &json!([0, 0])).await.unwrap();
    let limits = limits();
    for number in 1..8 {
        let input = json!([0.1, "abandoned"]);
        let abandoned = call_in(&workers, &slow, &limits, &input, Duration::from_secs(5));
        assert!(tokio::time::timeout(Duration::from_millis(10), abandoned).await.is_err());
        assert_eq!(call(&workers, &slow, &json!([0, number])).await, Ok(json!(number)));
    }
    assert_eq!((workers.stats().started, workers.stats().killed), (1, 0));
    // Nobody waits for it, and still it is killed at its deadline.
    let input = json!([60, 0]);
    let forever = call_in(&workers, &slow, &limits, &input, Duration::from_millis(300));
    assert!(tokio::time::timeout(Duration::from_millis(50), forever).await.is_err());
    eventually("the abandoned call is killed", || workers.stats().killed == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_from_outside_is_told_and_replaced() {
    let source = python("import os, time\ndef run(i):\n    if i: time.sleep(i)\n    return os.getpid()\n");
    let workers = workers();
    let pid = call(&workers, &source, &json!(0)).await.unwrap().as_i64().unwrap();
    let (theirs, callable) = (Arc::clone(&workers), Arc::clone(&source));
    let running = tokio::spawn(async move { call(&theirs, &callable, &json!(30)).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    expect_error(running.await.unwrap(), "WorkerDied", &["killed from outside", "memory"]);
    assert_ne!(call(&workers, &source, &json!(0)).await.unwrap().as_i64().unwrap(), pid);
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "it is reaped");
}

#[tokio::test(flavor = "multi_thread")]
async fn state_stays_within_one_tenant_and_function() {
    let workers = workers_with(|settings| settings.max_workers_per_function = 1);
    let counter = python(COUNTER);
    let deadline = || Instant::now() + Duration::from_secs(5);
    for (tenant, expected) in [("a", 1), ("b", 1), ("a", 2), ("b", 2)] {
        let reply = workers.call(tenant, &counter, &limits(), "0".into(), deadline()).await.unwrap();
        assert_eq!(reply.value().unwrap(), json!(expected), "{tenant}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_replaced_after_so_many_calls() {
    let workers =
        workers_with(|settings| (settings.max_workers_per_function, settings.calls_per_worker) = (1, 3));
    let counter = python(COUNTER);
    for expected in [1, 2, 3, 1, 2, 3, 1] {
        assert_eq!(call(&workers, &counter, &json!(0)).await, Ok(json!(expected)));
    }
    assert_eq!((workers.stats().started, workers.stats().killed), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_workers_end_and_leave_nothing() {
    let workers = workers_with(|settings| {
        (settings.idle_after, settings.max_workers) = (Duration::from_millis(300), 100);
    });
    for number in 0..20 {
        let source = python(&format!("def run(i):\n    return i + {number}\n"));
        assert_eq!(call(&workers, &source, &json!(1)).await, Ok(json!(number + 1)));
    }
    assert!(workers.stats().workers > 0);
    eventually("all workers end", || workers.stats().workers == 0).await;
    assert_eq!(workers.stats().pools, 0);
    assert_eq!(call(&workers, &python(NEIGHBOUR), &json!(1)).await, Ok(json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_workers_of_others_give_way_when_there_are_too_many() {
    let workers = workers_with(|settings| settings.max_workers = 3);
    for round in 0..3 {
        for number in 0..6 {
            let source = python(&format!("def run(i):\n    return i + {number}\n"));
            assert_eq!(call(&workers, &source, &json!(round)).await, Ok(json!(round + number)));
            assert!(workers.stats().workers <= 3);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_workers_of_others_give_way_to_a_function_whose_worker_hangs() {
    for is_known in [false, true] {
        let workers = workers_with(|settings| settings.max_workers = 2);
        let (sleeper, neighbour) = (python(SLEEPER), python(NEIGHBOUR));
        assert_eq!(call(&workers, &neighbour, &json!(1)).await, Ok(json!(2)));
        // A function that is known to be fast gets its calls sent ahead; one that is not, one after the other.
        for _ in 0..if is_known { 40 } else { 0 } {
            assert_eq!(call(&workers, &sleeper, &json!("fast")).await, Ok(json!("fast")));
        }
        let outcomes = at_once(&workers, &sleeper, &[60.0, 0.0, 0.0], Duration::from_secs(3)).await;
        expect_error(outcomes[0].0.clone(), "DeadlineExceeded", &[]);
        for (outcome, took) in &outcomes[1..] {
            assert_eq!(*outcome, Ok(json!(0.0)));
            assert!(*took < Duration::from_secs(2), "{took:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_function_without_a_worker_is_served_although_others_are_never_idle() {
    let workers = workers_with(|settings| (settings.max_workers, settings.max_workers_per_function) = (1, 1));
    let busy = python("import time\ndef run(i):\n    time.sleep(0.005)\n    return i\n");
    let flood: Vec<_> = (0..4)
        .map(|_| {
            let (workers, busy) = (Arc::clone(&workers), Arc::clone(&busy));
            tokio::spawn(async move {
                for number in 0..100 {
                    assert_eq!(call(&workers, &busy, &json!(number)).await, Ok(json!(number)));
                }
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(call(&workers, &python(NEIGHBOUR), &json!(1)).await, Ok(json!(2)));
    assert!(flood.iter().any(|task| !task.is_finished()));
    for task in flood {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_makes_the_first_call_fast_and_forgetting_ends_the_workers() {
    let workers = workers();
    let source = python("import time\ntime.sleep(0.2)\ndef run(i):\n    return i\n");
    let deadline = Instant::now() + Duration::from_secs(5);
    workers.load("tenant", &source, &limits(), deadline).await.unwrap();
    let start = Instant::now();
    call(&workers, &source, &json!(1)).await.unwrap();
    assert!(start.elapsed() < Duration::from_millis(150));
    workers.forget("tenant", &source);
    eventually("its workers end", || workers.stats().workers == 0).await;
    let broken = python("def run(:\n");
    assert_eq!(
        workers.load("tenant", &broken, &limits(), deadline).await.unwrap_err().reason(),
        "SourceFault"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shutting_down_waits_for_calls_and_refuses_new_ones() {
    let workers = workers();
    let slow = python("import time\ndef run(i):\n    time.sleep(0.3)\n    return i\n");
    call(&workers, &slow, &json!(1)).await.unwrap();
    let (theirs, callable) = (Arc::clone(&workers), Arc::clone(&slow));
    let running = tokio::spawn(async move { call(&theirs, &callable, &json!(7)).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    workers.shutdown().await;
    assert_eq!(running.await.unwrap(), Ok(json!(7)));
    assert_eq!(workers.stats().workers, 0);
    expect_error(call(&workers, &slow, &json!(1)).await, "JailUnavailable", &["shut down"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_end_with_their_handle() {
    let source = python("import os\ndef run(i):\n    return os.getpid()\n");
    let workers = workers();
    let pid = call(&workers, &source, &json!(0)).await.unwrap();
    drop(workers);
    let process = format!("/proc/{pid}");
    eventually("the worker ends", || !std::path::Path::new(&process).exists()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_inputs_give_equal_orders_of_sets_in_all_workers() {
    let source = python("def run(i):\n    return list({'a', 'b', 'c', 'd', 'e', 'f'})\n");
    let limits = Limits { timeout_seconds: 5, ..Limits::default() };
    let first = hostile_with(&source, limits, json!(0), Duration::from_secs(5)).await;
    assert_eq!(first, hostile_with(&source, limits, json!(0), Duration::from_secs(5)).await);
}
