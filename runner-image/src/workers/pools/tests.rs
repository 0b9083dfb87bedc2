use dise_core::function::{Function, Language};

use super::*;

fn pools(most: usize, per_pool: usize) -> Pools<u64> {
    let settings = Settings {
        max_workers: most,
        max_workers_per_function: per_pool,
        pipeline: 8,
        ..Settings::default()
    };
    Pools::new(&settings)
}

fn function(name: &str) -> (Key, Arc<Callable>) {
    let callable = Callable::new(Function { language: Language::Python, source: name.to_owned() });
    (Key { tenant: "tenant".into(), digest: callable.digest(), limits: Limits::default() }, callable)
}

fn submit(pools: &mut Pools<u64>, function: &(Key, Arc<Callable>)) -> Vec<Effect<u64>> {
    let (job, answer) = Job::new(0, Some("0".into()), Instant::now());
    // Somebody waits for it as long as the test runs.
    std::mem::forget(answer);
    pools.submit(&function.0, &function.1, job)
}

fn names(effects: &[Effect<u64>]) -> Vec<String> {
    effects
        .iter()
        .map(|effect| match effect {
            Effect::Send(worker, _) => format!("send {worker}"),
            Effect::Ready(_) => "ready".to_owned(),
            Effect::Fail(..) => "fail".to_owned(),
            Effect::Start(_, _, number) => format!("start {number}"),
            Effect::Retire(worker) => format!("retire {worker}"),
        })
        .collect()
}

#[test]
fn slow_functions_get_workers_and_fast_ones_a_pipeline() {
    for (service, expected) in [(Duration::from_millis(5), "start 2"), (Duration::from_micros(5), "send 1")] {
        let (mut pools, function) = (pools(8, 2), function("f"));
        assert_eq!(names(&submit(&mut pools, &function)), ["start 1"]);
        assert_eq!(names(&pools.ready(&function.0, 1, 1)), ["send 1"]);
        assert!(pools.finished(&function.0, 1, 1, service).is_empty());
        assert_eq!(names(&submit(&mut pools, &function)), ["send 1"]);
        assert_eq!(names(&submit(&mut pools, &function)), [expected]);
    }
}

#[test]
fn the_longest_idle_worker_of_another_function_gives_way() {
    let (mut pools, first, second, third) = (pools(2, 2), function("1"), function("2"), function("3"));
    for (number, function) in [(1, &first), (2, &second)] {
        submit(&mut pools, function);
        pools.ready(&function.0, number, number);
        pools.finished(&function.0, number, 1, Duration::from_millis(1));
    }
    assert_eq!(names(&submit(&mut pools, &third)), ["retire 1"]);
    assert_eq!(names(&pools.gone(&first.0, Loss::Ready, None)), ["start 3"]);
    assert_eq!((pools.stats().pools, pools.stats().workers), (2, 2));
}

#[test]
fn a_function_whose_workers_hang_gets_an_idle_one_of_another() {
    let (mut pools, hanging, idle) = (pools(2, 2), function("1"), function("2"));
    for (number, function) in [(1, &hanging), (2, &idle)] {
        submit(&mut pools, function);
        pools.ready(&function.0, number, number);
    }
    assert!(submit(&mut pools, &hanging).is_empty());
    std::thread::sleep(SLOW_AFTER + Duration::from_millis(1));
    // The other function's worker still runs a call.
    assert!(pools.assign(&hanging.0).is_empty());
    assert_eq!(names(&pools.finished(&idle.0, 2, 1, Duration::from_millis(1))), ["retire 2"]);
    assert_eq!(names(&pools.gone(&idle.0, Loss::Ready, None)), ["start 3"]);
    assert_eq!(names(&pools.ready(&hanging.0, 3, 3)), ["send 3"]);
}

#[test]
fn a_function_whose_workers_answer_takes_none_of_another() {
    let (mut pools, busy, idle) = (pools(2, 2), function("1"), function("2"));
    for (number, function) in [(1, &busy), (2, &idle)] {
        submit(&mut pools, function);
        pools.ready(&function.0, number, number);
        pools.finished(&function.0, number, 1, Duration::from_millis(1));
    }
    assert_eq!(names(&submit(&mut pools, &busy)), ["send 1"]);
    assert!(submit(&mut pools, &busy).is_empty());
    assert_eq!(names(&pools.finished(&busy.0, 1, 1, Duration::from_millis(1))), ["send 1"]);
    assert_eq!(pools.stats().idle, 1);
}

#[test]
fn what_cannot_be_loaded_fails_everyone_who_waits() {
    let (mut pools, function) = (pools(2, 1), function("f"));
    submit(&mut pools, &function);
    submit(&mut pools, &function);
    let error = CallError::Memory { mib: 1 };
    assert_eq!(names(&pools.gone(&function.0, Loss::Loading, Some(&error))), ["fail", "fail"]);
    assert_eq!(pools.stats().pools, 0);
}
