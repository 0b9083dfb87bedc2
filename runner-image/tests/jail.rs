//! What a hostile or broken Python function cannot do, and what its author is told.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod jail_support;

use std::{fs, time::Duration};

use dise_core::function::Limits;
use jail_support::{call, expect_error, hostile, hostile_with, limits, python, refused, workers};
use serde_json::{Value, json};

const FORBIDDEN: &[&str] = &["PermissionError", "without files, network, processes"];

/// The error of a function that tries something at line 2 of this source.
async fn forbidden(attempt: &str) {
    let source = format!("def run(input):\n    {attempt}\n    return 'done'\n");
    refused(&source, "Forbidden", FORBIDDEN).await;
}

/// What a function returns whose body this is.
async fn returned(body: &str) -> Value {
    let body = body.trim().replace('\n', "\n    ");
    hostile(&format!("def run(input):\n    {body}\n")).await.expect("it returns")
}

#[tokio::test(flavor = "multi_thread")]
async fn source_that_does_not_parse_is_shown_with_its_line() {
    refused("def run(input):\n    return (1\n", "SourceFault", &["SyntaxError", "line 2", "return (1"]).await;
    refused("x = 1\n", "SourceFault", &["no function `run(input)`"]).await;
    refused("run = 3\n", "SourceFault", &["no function `run(input)`"]).await;
    let source = "import json\nx = {}['k']\ndef run(input):\n    return 1\n";
    refused(source, "SourceFault", &["KeyError", "line 2", "x = {}['k']"]).await;
    refused("import sys\nsys.exit(4)\n", "SourceFault", &["SystemExit", "line 2"]).await;
    refused("import nothing_like_this\n", "SourceFault", &["ModuleNotFoundError", "line 1"]).await;
    refused("x = 1\0\n", "SourceFault", &["null bytes"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exceptions_are_told_with_the_lines_of_the_function() {
    let source =
        "def half(x):\n    return x / 0\n\ndef run(input):\n    print('before')\n    return half(input)\n";
    let outcome = hostile_with(&python(source), limits(), json!(1), Duration::from_secs(5)).await;
    let words = [
        "ZeroDivisionError: division by zero",
        "line 6, in run: return half(input)",
        "line 2, in half",
        "before",
    ];
    let error = expect_error(outcome, "Raised", &words);
    assert!(!error.to_string().contains("harness"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn exits_and_interrupts_are_exceptions_like_others() {
    refused("import sys\ndef run(i):\n    sys.exit(3)\n", "Raised", &["SystemExit: 3", "line 3"]).await;
    refused("def run(i):\n    raise KeyboardInterrupt\n", "Raised", &["KeyboardInterrupt"]).await;
    let rude = "class Rude(BaseException):\n    def __str__(self):\n        raise self\ndef run(i):\n    raise Rude\n";
    refused(rude, "Raised", &["Rude", "cannot be read"]).await;
    refused("def run(i, j):\n    return 1\n", "Raised", &["TypeError", "missing 1 required"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ending_the_process_is_told_from_an_exception() {
    refused("import os\ndef run(i):\n    os._exit(3)\n", "WorkerDied", &["exit code 3", "os._exit"]).await;
    refused("import os\nos._exit(3)\n", "WorkerDied", &["exit code 3"]).await;
    for rest in
        ["return i", "import time; time.sleep(0.02)", "import time; time.sleep(3)", "raise ValueError"]
    {
        let source = format!("import os\ndef run(i):\n    os.close(3)\n    {rest}\n");
        refused(&source, "WorkerDied", &["must not close file descriptors"]).await;
    }
    refused("import os\nos.close(3)\n", "WorkerDied", &["must not close file descriptors"]).await;
    let crash = "import ctypes\ndef run(i):\n    ctypes.string_at(0)\n";
    refused(crash, "WorkerDied", &["SIGSEGV"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_recursion_ends_the_call() {
    let source = "def f(x):\n    return f(x + 1)\ndef run(i):\n    return f(0)\n";
    refused(source, "Raised", &["RecursionError", "line 2, in f"]).await;
    let source = "import sys\nsys.setrecursionlimit(10**9)\ndef f(x):\n    return f(x + 1)\ndef run(i):\n    return f(0)\n";
    let small = Limits { memory_mib: 64, ..limits() };
    let outcome = hostile_with(&python(source), small, json!(null), Duration::from_secs(30)).await;
    let error = outcome.expect_err("it must fail");
    // CPython 3.11 itself says `SystemError` when it runs out of memory at a bad moment.
    assert!(["OutOfMemory", "WorkerDied", "Raised"].contains(&error.reason()), "{error}");
    let source = "def run(i):\n    x = []\n    for _ in range(100000):\n        x = [x]\n    return x\n";
    refused(source, "OutputNotJson", &["nested too deeply"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_takes_too_long_is_killed_at_the_deadline() {
    for source in [
        "def run(i):\n    while True:\n        pass\n",
        "def run(i):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass\n",
        "import time\ndef run(i):\n    time.sleep(60)\n",
        "import re\ndef run(i):\n    return bool(re.match('(a+)+$', 'a' * 64 + 'b'))\n",
    ] {
        let start = std::time::Instant::now();
        let outcome = hostile_with(&python(source), limits(), json!(null), Duration::from_millis(400)).await;
        expect_error(outcome, "DeadlineExceeded", &["timeoutSeconds", "still running"]);
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn top_level_code_that_does_not_end_is_a_fault_of_the_source() {
    let limits = Limits { timeout_seconds: 1, ..Limits::default() };
    let outcome =
        hostile_with(&python("while True: pass\n"), limits, json!(null), Duration::from_secs(5)).await;
    expect_error(outcome, "SourceFault", &["top-level code was still running after 1 s"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_cannot_be_started() {
    forbidden("import os; os.fork()").await;
    forbidden("import os; os.posix_spawn('/bin/true', ['true'], {})").await;
    forbidden("import subprocess; subprocess.run(['/bin/true'])").await;
    forbidden("import os; os.execv('/bin/true', ['true'])").await;
    forbidden("import os, sys; os.execv(sys.executable, ['python3', '-c', '1'])").await;
    refused("import os\ndef run(i):\n    os.fork()\n", "Forbidden", &["line 3, in run: os.fork()"]).await;
    // Not through the system calls themselves either: fork, vfork, clone3, and exec by descriptor.
    let body = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
numbers = {'x86_64': (57, 58, 435, 322), 'aarch64': (220, 220, 435, 281)}[os.uname().machine]
outcomes = []
for number in numbers:
    result = libc.syscall(number, 0, 0, 0, 0, 0)
    outcomes.append([result, ctypes.get_errno()])
return outcomes";
    assert_eq!(returned(body).await, json!([[-1, 1], [-1, 1], [-1, 1], [-1, 1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_exec_of_the_interpreter_is_impossible() {
    let body = "
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {'x86_64': 322, 'aarch64': 281}[os.uname().machine]
held = os.open(sys.executable, os.O_RDONLY)
import fcntl
outcomes = []
for target in (64, 40, 31):
    try:
        outcomes.append(fcntl.fcntl(held, fcntl.F_DUPFD_CLOEXEC, target))
    except OSError as error:
        outcomes.append(error.errno)
argv = (ctypes.c_char_p * 2)(b'python3', None)
for descriptor in (held, 64):
    result = libc.syscall(number, descriptor, b'', argv, None, 0x1000)
    outcomes.append([result, ctypes.get_errno()])
return outcomes";
    // EINVAL: the number lies beyond the limit; EPERM: not this descriptor; EBADF: it is closed.
    assert_eq!(returned(body).await, json!([22, 22, 31, [-1, 1], [-1, 9]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn threads_cannot_be_started() {
    let source = "import threading\ndef run(i):\n    threading.Thread(target=print).start()\n";
    refused(source, "Forbidden", &["can't start new thread", "threads"]).await;
    let source = "import asyncio\nasync def f():\n    return 1\ndef run(i):\n    return asyncio.run(f())\n";
    refused(source, "Forbidden", FORBIDDEN).await;
    let source = "import tempfile\ndef run(i):\n    return tempfile.mkdtemp()\n";
    refused(source, "Forbidden", &["files"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_socket_can_be_opened() {
    forbidden("import socket; socket.socket()").await;
    forbidden("import socket; socket.socketpair()").await;
    forbidden("import socket; socket.create_connection(('127.0.0.1', 80))").await;
    let body = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
return [[libc.socket(family, 1, 0), ctypes.get_errno()] for family in (1, 2, 10, 16, 17)]";
    assert_eq!(returned(body).await, json!([[-1, 1], [-1, 1], [-1, 1], [-1, 1], [-1, 1]]));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_can_be_neither_read_nor_written() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "secret").unwrap();
    let token = token.display().to_string();
    for path in [
        "/etc/passwd",
        "/etc/hostname",
        "/proc/self/environ",
        "/proc/self/mem",
        "/proc/1/environ",
        "/proc/self/maps",
        &token,
    ] {
        forbidden(&format!("open({path:?}).read()")).await;
    }
    forbidden("import os; os.listdir('/')").await;
    forbidden("import os; os.listdir('/proc')").await;
    forbidden(&format!("open({token:?}, 'w')")).await;
    forbidden(&format!("open({token:?}, 'a')")).await;
    forbidden(&format!("open('{token}.new', 'w')")).await;
    forbidden(&format!("import os; os.remove({token:?})")).await;
    forbidden(&format!("import os; os.rename({token:?}, '{token}.old')")).await;
    forbidden(&format!("import os; os.mkdir('{token}.d')")).await;
    forbidden(&format!("import os; os.symlink('/', '{token}.l')")).await;
    forbidden(&format!("import os; os.chmod({token:?}, 0o777)")).await;
    forbidden(&format!("import os; os.truncate({token:?}, 0)")).await;
    forbidden("open('/proc/self/mem', 'wb')").await;
    forbidden("open('/dev/null', 'w')").await;
    forbidden("import os; os.memfd_create('x')").await;
    forbidden("import os, sys; open(os.path.dirname(os.__file__) + '/new.py', 'w')").await;
    assert_eq!(fs::read_to_string(&token).unwrap(), "secret");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_processes_cannot_be_reached() {
    forbidden("import os; os.kill(os.getppid(), 9)").await;
    forbidden("import os; os.kill(os.getpid(), 9)").await;
    forbidden("import os; os.killpg(0, 9)").await;
    let body = "
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
few = (ctypes.c_ulong * 2)(8, 8)
names = {
    'x86_64': dict(ptrace=101, mount=165, unshare=272, bpf=321, io_uring_setup=425, process_vm_readv=310,
        process_vm_writev=311, pidfd_open=434, setns=308, keyctl=250, perf_event_open=298, chroot=161,
        tgkill=234, personality=135, userfaultfd=323, memfd_create=319, prctl=157, setsid=112, seccomp=317),
    'aarch64': dict(ptrace=117, mount=40, unshare=97, bpf=280, io_uring_setup=425, process_vm_readv=270,
        process_vm_writev=271, pidfd_open=434, setns=268, keyctl=219, perf_event_open=241, chroot=51,
        tgkill=131, personality=92, userfaultfd=282, memfd_create=279, prctl=167, setsid=157, seccomp=277),
}[os.uname().machine]
allowed = []
for name, number in names.items():
    ctypes.set_errno(0)
    if libc.syscall(number, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1:
        allowed.append(name)
if os.uname().machine == 'x86_64' and (libc.syscall(0x40000000 + 39) != -1 or ctypes.get_errno() != 1):
    allowed.append('x32 getpid')
if libc.setrlimit(7, few) != -1 or ctypes.get_errno() != 1:
    allowed.append('setrlimit')
return allowed";
    assert_eq!(returned(body).await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_supervisor_is_inherited() {
    let body = "
import os, sys
held = []
for descriptor in range(1024):
    try:
        os.fstat(descriptor)
        held.append(descriptor)
    except OSError:
        pass
return [sorted(os.environ), sys.stdin.read(), sys.argv, held, os.getcwd()]";
    // 0: nothing to read, 1 and 2: what is printed, 3: the connection.
    assert_eq!(returned(body).await, json!([["PYTHONHASHSEED"], "", ["-c"], [0, 1, 2, 3], "/"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_is_bounded_and_the_worker_survives() {
    let workers = workers();
    let hungry = python("def run(input):\n    return len(bytearray(input))\n");
    expect_error(
        call(&workers, &hungry, &json!(2_u64 << 30)).await,
        "OutOfMemory",
        &["256 MiB", "memoryMib"],
    );
    let many = "def run(i):\n    x = []\n    while True:\n        x.append('x' * 1000 + str(len(x)))\n";
    refused(many, "OutOfMemory", &["256 MiB"]).await;
    assert_eq!(call(&workers, &hungry, &json!(10)).await, Ok(json!(10)));
    assert_eq!((workers.stats().started, workers.stats().killed), (1, 0));
    refused("x = bytearray(2 << 30)\n", "OutOfMemory", &["256 MiB"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interpreter_that_does_not_fit_is_told() {
    let limits = Limits { memory_mib: 8, ..limits() };
    let outcome =
        hostile_with(&python("def run(i):\n    return 1\n"), limits, json!(null), Duration::from_secs(5))
            .await;
    let error = outcome.expect_err("it must fail");
    assert!(["OutOfMemory", "WorkerDied", "JailUnavailable"].contains(&error.reason()), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn printing_is_bounded() {
    for source in [
        "def run(i):\n    for _ in range(100):\n        print('x' * 1_000_000)\n",
        "import sys\ndef run(i):\n    for _ in range(100):\n        sys.stderr.write('x' * 1_000_000)\n",
        "import os\ndef run(i):\n    for _ in range(1600):\n        os.write(1, b'x' * 65536)\n",
        "def run(i):\n    while True:\n        try:\n            print('x' * 1000)\n        except BaseException:\n            return 1\n",
        "for _ in range(100):\n    print('x' * 1_000_000)\n",
    ] {
        refused(source, "PrintedTooMuch", &["1048576 bytes", "print less", "xxx"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_little_printing_is_kept_and_does_no_harm() {
    let workers = workers();
    let source =
        python("import os\ndef run(i):\n    print('line', i)\n    os.write(2, b'raw')\n    return i\n");
    for number in 0..5 {
        let reply =
            jail_support::call_in(&workers, &source, &limits(), &json!(number), Duration::from_secs(5))
                .await
                .unwrap();
        assert_eq!(
            (reply.printed.as_str(), &reply.output[..]),
            (&*format!("line {number}\n"), number.to_string().as_bytes())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_that_are_not_json_are_told_with_their_path() {
    for (value, words) in [
        ("float('nan')", ["output is not JSON", "nan"]),
        ("{'scores': [1, 2, 3, float('inf')]}", ["output.scores[3]", "inf"]),
        ("{'a': {1, 2}}", ["output.a", "a set"]),
        ("[b'x']", ["output[0]", "bytes"]),
        ("{'a b': [object()]}", ["output['a b'][0]", "object"]),
        ("{(1, 2): 1}", ["output", "key of the dict is a tuple"]),
        ("'\\ud800'", ["output", "surrogate"]),
        ("(lambda x: x.append(x) or x)([])", ["output[0]", "contains itself"]),
    ] {
        refused(&format!("def run(i):\n    return {value}\n"), "OutputNotJson", &words).await;
    }
    refused("async def run(i):\n    return 1\n", "OutputNotJson", &["coroutine"]).await;
    refused("def run(i):\n    return 10 ** 400\n", "OutputNotJson", &["number out of range"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn results_are_bounded() {
    refused("def run(i):\n    return 'x' * (5 << 20)\n", "OutputTooLarge", &["4194304 bytes", "return less"])
        .await;
    let source = python("def run(i):\n    return 'ü' * i\n");
    let limits = Limits { output_bytes: 1000, ..limits() };
    let outcome = hostile_with(&source, limits, json!(499), Duration::from_secs(5)).await;
    assert_eq!(outcome, Ok(json!("ü".repeat(499))));
    let outcome = hostile_with(&source, limits, json!(500), Duration::from_secs(5)).await;
    expect_error(outcome, "OutputTooLarge", &["1000 bytes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inputs_of_all_sizes_arrive() {
    let workers = workers();
    let source = python("def run(i):\n    return [len(i), i[-1]]\n");
    for size in [0, 1, 4_000, 65_523, 65_524, 262_144, 1 << 20, 10 << 20] {
        let input = json!(format!("{}z", "x".repeat(size)));
        assert_eq!(call(&workers, &source, &input).await, Ok(json!([size + 1, "z"])));
    }
    let outcome = call(&workers, &source, &json!("x".repeat(16 << 20))).await;
    expect_error(outcome, "InputTooLarge", &["16777218 bytes", "16777216"]);
    let small = Limits { memory_mib: 64, ..limits() };
    let input = json!("x".repeat(15 << 20));
    let outcome = jail_support::call_in(&workers, &source, &small, &input, Duration::from_secs(10)).await;
    expect_error(outcome.map(|_| Value::Null), "OutOfMemory", &["64 MiB"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn input_that_is_not_json_is_the_callers_fault() {
    let workers = workers();
    let source = python("def run(i):\n    return i\n");
    let deadline = || std::time::Instant::now() + Duration::from_secs(5);
    for input in ["", "{", "nul", "[1] 2", "NaN", "{\"a\": Infinity}", "\u{0}"] {
        let outcome = workers.call("tenant", &source, &limits(), input.into(), deadline()).await;
        expect_error(outcome.map(|_| Value::Null), "InputNotJson", &["the input is not JSON"]);
    }
    let reply =
        workers.call("tenant", &source, &limits(), " \n[1, 2.50]\t".into(), deadline()).await.unwrap();
    assert_eq!(reply.output, "[1,2.5]");
    assert_eq!(workers.stats().killed, 0);
}
