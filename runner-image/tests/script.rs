//! What Bash functions can and cannot do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod jail_support;

use std::{fs, time::Duration};

use dise_core::function::Limits;
use jail_support::{bash, call, expect_error, hostile_with, limits, workers, workers_with};
use serde_json::{Value, json};

async fn run(script: &str, input: Value) -> Result<Value, dise_runner::workers::CallError> {
    hostile_with(&bash(script), limits(), input, Duration::from_secs(10)).await
}

/// What a script wrote to standard error, with its exit code in front.
async fn said(script: &str) -> String {
    let script = format!("( {script} ) > said 2>&1; jq -Rsc --arg code $? '$code + \" \" + .' < said\n");
    run(&script, json!(null)).await.unwrap().as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_turn_json_into_json_with_the_tools_of_the_image() {
    assert_eq!(run("jq -c '{sum: add}'", json!([1, 2, 3])).await, Ok(json!({"sum": 6})));
    let pipeline = "jq -r '.[]' | sort | uniq -c | awk '{print $2 \"=\" $1}' | grep -v '^b' | sed 's/=/:/' | jq -R . | jq -sc .";
    assert_eq!(run(pipeline, json!(["a", "b", "a"])).await, Ok(json!(["a:2"])));
    let scratch =
        "mkdir -p a/b; cat > a/b/in; cp a/b/in out; mv out out2; [ -s out2 ] && wc -c < out2; rm -r a";
    assert_eq!(run(scratch, json!("abc")).await, Ok(json!(5)));
    assert_eq!(run("mktemp >/dev/null && cat <<< $(cat <(echo 1))", json!(0)).await, Ok(json!(1)));
    let input = json!("x".repeat(8 << 20));
    let counted = "wc -c";
    assert_eq!(run(counted, input).await, Ok(json!((8 << 20) + 2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_of_scripts_are_told() {
    expect_error(run("echo oops >&2; exit 3", json!(0)).await, "Raised", &["ExitCode: 3", "oops"]);
    expect_error(run("echo '{'", json!(0)).await, "OutputNotJson", &["EOF"]);
    expect_error(run("true", json!(0)).await, "OutputNotJson", &["wrote nothing"]);
    expect_error(run("no-such-tool", json!(0)).await, "Raised", &["127", "command not found"]);
    let outcome = hostile_with(&bash("sleep 60"), limits(), json!(0), Duration::from_millis(300)).await;
    expect_error(outcome, "DeadlineExceeded", &["timeoutSeconds"]);
    let outcome =
        hostile_with(&bash("sleep 60 & echo 1"), limits(), json!(0), Duration::from_millis(300)).await;
    expect_error(outcome, "DeadlineExceeded", &[]);
    expect_error(
        run("head -c 5000000 /dev/zero | tr '\\0' 1", json!(0)).await,
        "OutputTooLarge",
        &["4194304"],
    );
    expect_error(run("yes >&2", json!(0)).await, "PrintedTooMuch", &["print less"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn loading_a_script_parses_it() {
    let workers = workers();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    workers.load("tenant", &bash("jq .a\n"), &limits(), deadline).await.unwrap();
    let error = workers
        .load("tenant", &bash("echo 1\nif true; then\necho 2 )\n"), &limits(), deadline)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        error.reason() == "SourceFault" && text.contains("line 3") && text.contains("echo 2 )"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_have_no_network() {
    let answer = said("exec 3<> /dev/tcp/127.0.0.1/80").await;
    assert!(answer.starts_with("1 ") && answer.contains("not permitted"), "{answer}");
    let answer = said("/usr/bin/python3 -c 'import socket; socket.socket()'").await;
    assert!(answer.contains("PermissionError") || answer.contains("127"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts_see_no_files_but_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("token");
    fs::write(&secret, "secret").unwrap();
    let secret = secret.display().to_string();
    for attempt in [
        &format!("cat {secret}"),
        "cat /etc/passwd",
        "ls /",
        "ls /proc",
        "cat /proc/self/environ",
        "ls /tmp",
        "ls ../..",
        &format!("echo > {secret}"),
        &format!("rm {secret}"),
        &format!("ln {secret} mine && cat mine"),
        &format!("ln -s {secret} mine; cat mine"),
        "echo > ../step.sh",
        "echo > /usr/bin/new",
        "mkdir /tmp/new",
        "cp /usr/bin/true mine && ./mine",
        "kill -9 $PPID",
        "kill -9 1",
        "unshare -U true",
        "mount -t tmpfs x .",
        "bash -c 'kill -9 $$'",
        "setsid -w true",
        "mknod d c 1 3",
        "chroot . true",
        &format!("chmod 777 {secret} && cat {secret}"),
    ] {
        let answer = said(attempt).await;
        assert!(!answer.starts_with("0 ") && !answer.contains("secret\n"), "{attempt}: {answer}");
    }
    assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
    let environment = run("env | cut -d= -f1 | sort | jq -R . | jq -sc .", json!(0)).await.unwrap();
    for name in environment.as_array().unwrap() {
        assert!(
            ["HOME", "LC_ALL", "PATH", "PWD", "SHLVL", "TMPDIR", "_", "OLDPWD"]
                .contains(&name.as_str().unwrap()),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fork_bomb_is_stopped() {
    for bomb in [":(){ :|:& };:; wait", "for i in $(seq 1000); do sleep 47 & done; wait"] {
        expect_error(run(bomb, json!(0)).await, "Forbidden", &["more than 64 processes"]);
    }
    // Many, one after the other, are no bomb.
    assert_eq!(run("for i in $(seq 300); do /bin/true; done; echo $i", json!(0)).await, Ok(json!(300)));
    assert_eq!(run("seq 100000 | sort -rn --parallel=4 | head -1", json!(0)).await, Ok(json!(100_000)));
    let start = std::time::Instant::now();
    let alive = || std::process::Command::new("pgrep").args(["-f", "^sleep 47$"]).output().unwrap().stdout;
    while !alive().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(5), "{}", String::from_utf8_lossy(&alive()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_and_files_of_scripts_are_bounded() {
    let limits = Limits { memory_mib: 32, ..limits() };
    let hungry = bash("x=$(head -c 100000000 /dev/zero | tr '\\0' x); echo ${#x}");
    let outcome = hostile_with(&hungry, limits, json!(0), Duration::from_secs(10)).await;
    expect_error(outcome, "OutOfMemory", &["32 MiB"]);
    let outcome =
        hostile_with(&bash("head -c 100000000 /dev/zero > big"), limits, json!(0), Duration::from_secs(10))
            .await;
    assert!(outcome.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_in_the_scratch_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let workers = workers_with(|settings| scratch.path().clone_into(&mut settings.scratch));
    let script = bash("echo x > file; mkdir d; chmod 000 d; cat");
    for number in 0..3 {
        assert_eq!(call(&workers, &script, &json!(number)).await, Ok(json!(number)));
    }
    let _ =
        jail_support::call_in(&workers, &bash("sleep 9"), &limits(), &json!(0), Duration::from_millis(100))
            .await;
    assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0);
    drop(scratch);
    expect_error(
        call(&workers, &script, &json!(0)).await,
        "JailUnavailable",
        &["scratch folder", "writable volume"],
    );
}
