//! Functions that pass their example and misbehave for other inputs.

use dise_tests::spec::{bash, python, single};
use serde_json::{Value, json};

/// What a function does when told, and what its caller is told.
pub(crate) struct Mood {
    /// The input's `do`.
    pub(crate) order: &'static str,
    pub(crate) status: u16,
    pub(crate) reason: &'static str,
    /// All of these are in the detail.
    pub(crate) fragments: &'static [&'static str],
}

const PYTHON: &str = r"
import os, threading, socket, time, sys

def run(input):
    order = input['do']
    print('secret of', order)
    if order == 'work':
        return {'n': 1}
    return MOODS[order]()

def endless():
    while True:
        pass

def recurse():
    return recurse()

def write():
    open('/tmp/x', 'w').write('x')

def chatter():
    for _ in range(100):
        print('x' * 1000000)

def write_past():
    while True:
        os.write(1, b'x' * 100000)

def hoard():
    kept = []
    while True:
        kept.append(' ' * 1000000)

MOODS = {
    'raise': lambda: {}['missing'],
    'leave': lambda: sys.exit(3),
    'loop': endless,
    'sleep': lambda: time.sleep(60),
    'recurse': recurse,
    'fork': os.fork,
    'thread': lambda: threading.Thread(target=print).start(),
    'connect': socket.socket,
    'read': lambda: open('/etc/passwd').read(),
    'token': lambda: open('/var/run/dise/token').read(),
    'write': write,
    'kill': lambda: os.kill(1, 9),
    'exit': lambda: os._exit(7),
    'forge': lambda: os.write(3, b'x' * 64),
    'close': lambda: os.close(3),
    'chatter': chatter,
    'write-past': write_past,
    'huge': lambda: {'n': 1, 'text': 'x' * (5 << 20)},
    'allocate': lambda: bytearray(2 << 30),
    'hoard': hoard,
    'nan': lambda: {'n': float('nan')},
    'set': lambda: {1, 2},
    'bytes': lambda: b'x',
    'deep': lambda: eval('[' * 90 + ']' * 90),
    'misfit': lambda: {'n': 'one'},
    'nothing': lambda: None,
}
";

const BASH: &str = r#"
input=$(cat)
case "$input" in
  *'"work"'*) echo '{"n": 1}' ;;
  *'"fail"'*) echo why >&2; exit 3 ;;
  *'"loop"'*) while :; do :; done ;;
  *'"read"'*) cat /etc/passwd ;;
  *'"token"'*) cat /var/run/dise/token ;;
  *'"connect"'*) exec 3<>/dev/tcp/10.96.0.1/443 || exit 9 ;;
  *'"bomb"'*) f() { f | f & }; f; sleep 5 ;;
  *'"text"'*) echo one ;;
  *'"silent"'*) ;;
  *'"misfit"'*) echo '{"n": "one"}' ;;
esac
"#;

fn workflow(function: &Value) -> Value {
    let mut workflow = single(
        function,
        &json!({
            "timeoutSeconds": 1, "memoryMib": 128,
            "output": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
            "examples": [{"input": {"do": "work"}, "output": {"n": 1}}],
        }),
    );
    workflow["input"] = json!({
        "type": "object", "required": ["do"], "additionalProperties": false,
        "properties": {"do": {"type": "string"}, "text": {"type": "string"}, "n": {"items": {"type": "integer"}}},
    });
    workflow
}

pub(crate) fn python_workflow() -> Value {
    workflow(&python(PYTHON))
}

pub(crate) fn bash_workflow() -> Value {
    workflow(&bash(BASH))
}

fn mood(order: &'static str, status: u16, reason: &'static str, fragments: &'static [&'static str]) -> Mood {
    Mood { order, status, reason, fragments }
}

fn forbidden(order: &'static str) -> Mood {
    mood(order, 502, "Forbidden", &["a jail without files, network, processes, threads and signals"])
}

pub(crate) fn python_moods() -> Vec<Mood> {
    let mut moods: Vec<Mood> =
        ["fork", "thread", "connect", "read", "token", "write", "kill"].into_iter().map(forbidden).collect();
    moods.extend([
        mood("raise", 502, "Raised", &["KeyError: 'missing'"]),
        mood("leave", 502, "Raised", &["SystemExit: 3"]),
        mood("recurse", 502, "Raised", &["RecursionError"]),
        mood(
            "loop",
            504,
            "DeadlineExceeded",
            &["still running at its deadline, after 1.0", "timeoutSeconds"],
        ),
        mood("sleep", 504, "DeadlineExceeded", &["still running at its deadline"]),
        mood("exit", 502, "WorkerDied", &["exit code 7", "never calls os._exit"]),
        mood("forge", 502, "ProtocolViolation", &["broke the protocol"]),
        mood("close", 502, "WorkerDied", &["must not close file descriptors"]),
        mood("chatter", 502, "PrintedTooMuch", &["more than 1048576 bytes", "print less"]),
        mood("write-past", 502, "PrintedTooMuch", &["more than 1048576 bytes"]),
        mood("huge", 502, "OutputTooLarge", &["larger than 4194304 bytes", "return less"]),
        mood("allocate", 502, "OutOfMemory", &["more than its 128 MiB", "raise memoryMib"]),
        mood("hoard", 502, "OutOfMemory", &["more than its 128 MiB"]),
        mood("nan", 502, "OutputNotJson", &["output.n is not JSON", "nan"]),
        mood("set", 502, "OutputNotJson", &["output is not JSON", "a set"]),
        mood("bytes", 502, "OutputNotJson", &["output is not JSON", "bytes"]),
        mood("deep", 502, "OutputInvalid", &["does not fit the step's schema"]),
        mood("misfit", 502, "OutputInvalid", &["does not fit the step's schema", "integer"]),
        mood("nothing", 502, "OutputInvalid", &["does not fit the step's schema", "object"]),
        mood("unknown", 502, "Raised", &["KeyError: 'unknown'"]),
    ]);
    moods
}

pub(crate) fn bash_moods() -> Vec<Mood> {
    vec![
        forbidden("read"),
        forbidden("token"),
        mood("bomb", 502, "Forbidden", &["more than", "processes"]),
        mood("connect", 502, "Forbidden", &["a jail without files, network"]),
        mood("fail", 502, "Raised", &["ExitCode: 3"]),
        mood("loop", 504, "DeadlineExceeded", &["still running at its deadline"]),
        mood("text", 502, "OutputNotJson", &["line 1 column 1"]),
        mood("silent", 502, "OutputNotJson", &["wrote nothing to standard output"]),
        mood("misfit", 502, "OutputInvalid", &["integer"]),
    ]
}
