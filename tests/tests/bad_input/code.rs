//! Code that must be refuted, or fail without doing any harm.

use dise_tests::spec::{bash, python, single};
use serde_json::{Value, json};

/// A workflow of the step `only`, and what must be said about its code.
pub(crate) struct Refuted {
    pub(crate) name: &'static str,
    pub(crate) spec: Value,
    /// All of these are in the message.
    pub(crate) fragments: &'static [&'static str],
}

pub(crate) fn refuted() -> Vec<Refuted> {
    [unloadable(), hungry(), curious(), wordy(), wrong(), scripts()].into_iter().flatten().collect()
}

/// The code must return 1 for `{}`.
fn case(name: &'static str, source: &str, fragments: &'static [&'static str]) -> Refuted {
    let step = json!({"timeoutSeconds": 2, "examples": [{"input": {}, "output": 1}]});
    Refuted { name, spec: single(&python(source), &step), fragments }
}

fn unloadable() -> Vec<Refuted> {
    vec![
        case(
            "unparsable",
            "def run(input):\n    if input\n        return 1\n",
            &["cannot be loaded", "SyntaxError", "line 2", "`if input`"],
        ),
        case("tabs", "def run(input):\n\treturn 1\n        x = 1\n", &["cannot be loaded", "line 3"]),
        case("no-run", "def rum(input):\n    return 1\n", &["defines no function `run(input)`"]),
        case("run-is-no-function", "run = 1\n", &["defines no function `run(input)`"]),
        case(
            "raises-at-import",
            "limit = 10\nshare = 1 / (limit - 10)\ndef run(input):\n    return 1\n",
            &["top-level code raises ZeroDivisionError", "line 2", "share = 1 / (limit - 10)"],
        ),
        case("imports-unknown", "import numpyy\ndef run(input):\n    return 1\n", &["numpyy", "line 1"]),
        case(
            "loops-at-import",
            "while True:\n    pass\n",
            &["top-level code was still running", "do the work in `run`"],
        ),
        case("too-many-arguments", "def run():\n    return 1\n", &["TypeError", "positional argument"]),
    ]
}

fn hungry() -> Vec<Refuted> {
    let mut endless = case(
        "endless",
        "def run(input):\n    while True:\n        pass\n",
        &["still running at its deadline, after 1.0", "endless loop", "raise timeoutSeconds"],
    );
    endless.spec["steps"][0]["timeoutSeconds"] = json!(1);
    let mut slow_pattern = case(
        "slow-pattern",
        "import re\ndef run(input):\n    return 1 if re.match('(a+)+$', 'a' * 40 + 'b') else 0\n",
        &["still running at its deadline", "slow regular expression"],
    );
    slow_pattern.spec["steps"][0]["timeoutSeconds"] = json!(1);
    vec![
        endless,
        slow_pattern,
        case(
            "allocates",
            "def run(input):\n    return len(bytearray(2 << 30))\n",
            &["more than its 256 MiB of memory", "raise memoryMib"],
        ),
        case(
            "grows",
            "def run(input):\n    kept = []\n    while True:\n        kept.append(' ' * 1000000)\n",
            &["more than its 256 MiB of memory"],
        ),
        case(
            "recurses",
            "def run(input):\n    return run(input)\n",
            &["RecursionError", "line 2, in run: return run(input)"],
        ),
        case(
            "recurses-without-limit",
            "import sys\ndef run(input):\n    sys.setrecursionlimit(1 << 30)\n    return deeper(0)\n\
             def deeper(n):\n    return max([n], key=deeper)\n",
            &["example 0: the function"],
        ),
    ]
}

fn curious() -> Vec<Refuted> {
    let in_jail: &'static [&'static str] =
        &["PermissionError", "functions run in a jail without files, network"];
    vec![
        case("forks", "import os\ndef run(input):\n    os.fork()\n    return 1\n", in_jail),
        case("executes", "import os\ndef run(input):\n    os.execv('/bin/sh', ['sh'])\n", in_jail),
        case(
            "starts-a-thread",
            "import threading\ndef run(input):\n    threading.Thread(target=print).start()\n    return 1\n",
            &["can't start new thread", "a jail without files, network, processes, threads"],
        ),
        case(
            "opens-a-socket",
            "import socket\ndef run(input):\n    socket.socket()\n    return 1\n",
            in_jail,
        ),
        case("reads-a-file", "def run(input):\n    return len(open('/etc/passwd').read())\n", in_jail),
        case("reads-the-token", "def run(input):\n    return open('/var/run/dise/token').read()\n", in_jail),
        case(
            "reads-the-cache",
            "import os\ndef run(input):\n    return os.listdir('/var/cache/dise')\n",
            in_jail,
        ),
        case("reads-environ", "def run(input):\n    return open('/proc/1/environ').read()\n", in_jail),
        case("writes-a-file", "def run(input):\n    open('/tmp/x', 'w').write('x')\n    return 1\n", in_jail),
        case("signals", "import os\ndef run(input):\n    os.kill(1, 9)\n    return 1\n", in_jail),
        case(
            "makes-system-calls",
            "import ctypes\ndef run(input):\n    libc = ctypes.CDLL(None, use_errno=True)\n\
             \x20   if libc.socket(2, 1, 0) < 0:\n        raise OSError(ctypes.get_errno(), 'no socket')\n    return 1\n",
            &["example 0: ", "no socket"],
        ),
    ]
}

fn wordy() -> Vec<Refuted> {
    vec![
        case(
            "prints-without-end",
            "def run(input):\n    for _ in range(100):\n        print('x' * 1000000)\n    return 1\n",
            &["printed more than 1048576 bytes", "print less"],
        ),
        case(
            "writes-past-print",
            "import os\ndef run(input):\n    for _ in range(1000):\n        os.write(1, b'x' * 100000)\n    return 1\n",
            &["printed more than 1048576 bytes"],
        ),
        case(
            "returns-much",
            "def run(input):\n    return 'x' * (5 << 20)\n",
            &["larger than 4194304 bytes of JSON", "return less"],
        ),
        case(
            "returns-nan",
            "def run(input):\n    return {'scores': [1, float('nan')]}\n",
            &["output.scores[1] is not JSON", "nan", "finite float"],
        ),
        case(
            "returns-a-set",
            "def run(input):\n    return {1, 2}\n",
            &["output is not JSON", "a set", "list"],
        ),
        case(
            "returns-bytes",
            "def run(input):\n    return {'data': b'x'}\n",
            &["output.data is not JSON", "bytes"],
        ),
        case(
            "returns-itself",
            "def run(input):\n    x = []\n    x.append(x)\n    return x\n",
            &["contains itself"],
        ),
    ]
}

fn wrong() -> Vec<Refuted> {
    let step = json!({
        "examples": [{"input": {}, "output": {"sizes": [1, 2]}}, {"input": {}, "output": {"sizes": [1, 3]}}],
    });
    let source = "def run(input):\n    return {'sizes': [1, 3]}\n";
    let difference = Refuted {
        name: "wrong-output",
        spec: single(&python(source), &step),
        fragments: &["1 of 2 examples failed", "example 0", "output /sizes/1 is 3, expected 2"],
    };
    // The example satisfies the check, and so does the code as far as the examples go.
    let unstable = "n = 0\ndef run(input):\n    global n\n    n += 1\n    return 1 if n == 1 else -1\n";
    let step = json!({
        "checks": [{"name": "positive", "expression": "output > 0"}],
        "examples": [{"input": {}, "output": 1}, {"input": {"again": true}, "output": 1}],
    });
    let remembers = Refuted {
        name: "remembers",
        spec: single(&python(unstable), &step),
        fragments: &["1 of 2 examples failed", "example 1", "is -1, expected 1"],
    };
    vec![
        difference,
        remembers,
        case(
            "raises",
            "def run(input):\n    return input['missing']\n",
            &["raised KeyError: 'missing'", "line 2, in run: return input['missing']"],
        ),
        case(
            "exits",
            "import os\ndef run(input):\n    os._exit(7)\n",
            &["exit code 7", "never calls os._exit"],
        ),
        case(
            "forges-a-reply",
            "import os\ndef run(input):\n    os.write(3, b'x' * 64)\n    return 1\n",
            &["broke the protocol"],
        ),
        case("closes-the-line", "import os\ndef run(input):\n    os.close(3)\n    return 1\n", &["worker"]),
    ]
}

fn scripts() -> Vec<Refuted> {
    let script = |name, source: &str, fragments| {
        let step = json!({"timeoutSeconds": 2, "examples": [{"input": {}, "output": 1}]});
        Refuted { name, spec: single(&bash(source), &step), fragments }
    };
    let refused: &'static [&'static str] =
        &["refused what it tried", "functions run in a jail without files"];
    vec![
        script("bash-unparsable", "echo 1\nif true; then\n", &["cannot be loaded", "syntax error", "line"]),
        script("bash-reads-a-file", "wc -c < /etc/passwd\n", refused),
        script("bash-reads-the-token", "cat /var/run/dise/token\n", refused),
        script("bash-connects", "exec 3<>/dev/tcp/10.96.0.1/443 || exit 9\necho 1\n", refused),
        script("bash-fork-bomb", "f() { f | f & }\nf\nsleep 5\necho 1\n", &["more than", "processes"]),
        script("bash-endless", "while :; do :; done\n", &["still running at its deadline", "timeoutSeconds"]),
        script("bash-no-json", "echo one\n", &["output is not JSON", "line 1 column 1"]),
        script("bash-silent", ":\n", &["wrote nothing to standard output"]),
        script("bash-fails", "echo why >&2\nexit 3\n", &["ExitCode: 3", "printed last: why"]),
    ]
}
