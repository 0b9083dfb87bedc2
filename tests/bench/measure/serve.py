"""The served call: DiSE's executor beside FastAPI, twice, and beside a bare axum handler, in alternating rounds."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import timeit
import urllib.error
import urllib.request
from pathlib import Path

from . import processes, words
from .fake_operator import FakeOperator
from .report import Rows, Unmeasurable, median, read, say, spread

HERE = Path(__file__).resolve().parent
TEXT = "A good day, and a fine evening with great company in the old town. " * 6
# What is asked before anything is timed: all servers must agree.
PROBES = [TEXT, "", "A poor, awful and bad day", "good bad", "Größe ☃ GREAT " * 50]
WORKERS = 2
CONNECTIONS = 16


class Server:
    """A server under test."""

    def __init__(self, name, command, port, folder, env=None, descriptors=()):
        self.name, self.url = name, f"http://127.0.0.1:{port}/v1/run"
        self.rates, self.costs, self.p50s, self.p99s, self.memory = [], [], [], [], 0.0
        self.log = Path(folder, f"{name}.log")
        env = {**os.environ, **(env or {})}
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True, pass_fds=descriptors
            )

    def ask(self, text):
        request = urllib.request.Request(self.url, body(text), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["output"]

    def wait(self):
        end = time.monotonic() + 30
        while True:
            try:
                return self.ask(TEXT)
            except (OSError, urllib.error.URLError) as error:
                if self.process.poll() is not None or time.monotonic() > end:
                    tail = read(self.log)[-2000:]
                    raise Unmeasurable(f"{self.name} does not answer: {error}\n{tail}") from error
                time.sleep(0.1)

    def load(self, connections, seconds):
        """Puts load on the server; what wrk says, with the CPU time of the server and what others took."""
        pid = self.process.pid
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(HERE.parent / "load.lua"), self.url]
        before = (processes.cpu_seconds(pid), self.others(), time.monotonic())
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        own, others, elapsed = (
            after - start for after, start in zip((processes.cpu_seconds(pid), self.others(), time.monotonic()), before)
        )
        answer = done.stdout.strip().splitlines()
        if done.returncode or not answer:
            raise Unmeasurable(f"wrk failed on {self.name}: {done.stderr or done.stdout}")
        result = json.loads(answer[-1])
        if result["failed"] or not result["requests"]:
            raise Unmeasurable(f"{self.name}: {result['failed']} of {result['requests']} requests failed")
        return {
            "rate": result["requests"] / (result["microseconds"] / 1e6),
            "cost": own / result["requests"] * 1e6,
            "p50": result["p50"],
            "p99": result["p99"],
            "others": others / elapsed / os.cpu_count(),
        }

    def others(self):
        """Time that processes which are not part of the benchmark spent in their own code. The kernel's is shared."""
        times = os.times()
        mine = times.user + times.children_user + processes.cpu_seconds(self.process.pid, system=False)
        return processes.user_seconds() - mine

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def body(text):
    return json.dumps({"input": {"text": text}}).encode()


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def dise(args, folder):
    operator = FakeOperator("words", Path(words.__file__).read_text(encoding="utf-8"))
    token = Path(folder, "token")
    token.write_text("token\n", encoding="ascii")
    port = free_port()
    command = [
        *[args.runner, "serve", "--operator-url", operator.url, "--token-file", str(token)],
        *["--listen", f"127.0.0.1:{port}", "--cache-dir", f"{folder}/cache", "--drain-seconds", "0"],
        *["--pod-namespace", "bench", "--pod-name", "bench", "--max-workers-per-function", str(WORKERS)],
    ]
    return Server("DiSE", command, port, folder, {"RUST_LOG": "warn", "DISE_LOG_FORMAT": "text"})


def fastapi(args, folder, name, app, loop, http):
    # Accepted connections inherit the option. Left to itself, `uvicorn --workers` with asyncio does not set it: the
    # second part of every answer then waits 40 ms for an acknowledgement, and nothing but that would be measured.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        descriptor, port = listener.fileno(), listener.getsockname()[1]
        command = [
            *[args.python, "-m", "uvicorn", f"measure.fastapi_app:{app}", "--fd", str(descriptor)],
            *["--workers", str(WORKERS), "--loop", loop, "--http", http],
            *["--no-access-log", "--log-level", "warning"],
        ]
        return Server(name, command, port, folder, {"PYTHONPATH": str(HERE.parent)}, [descriptor])


def start(args, folder):
    """All servers."""
    port = free_port()
    answer = json.dumps({"output": words.run({"text": TEXT})})
    return [
        dise(args, folder),
        # What `pip install fastapi uvicorn` gives, and what it gives with everything that makes it faster.
        fastapi(args, folder, "FastAPI", "tutorial", "asyncio", "h11"),
        fastapi(args, folder, "tuned FastAPI", "tuned", "uvloop", "httptools"),
        Server("axum", [args.axum, f"127.0.0.1:{port}", answer], port, folder),
    ]


def check(servers):
    for server in servers:
        server.wait()
        # axum gives one fixed answer: the right one to the text that is timed.
        for text in PROBES[:1] if server.name == "axum" else PROBES:
            answer, right = server.ask(text), words.run({"text": text})
            if answer != right:
                raise Unmeasurable(f"{server.name} answers {answer}, not {right}, to {text[:50]!r}")


def rounds(servers, args):
    for server in servers:
        server.load(CONNECTIONS, 2)
    for number in range(args.rounds):
        for server in servers:
            many = server.load(CONNECTIONS, args.seconds)
            server.memory = processes.shared_memory(server.process.pid)
            one = server.load(1, max(2, args.seconds // 2))
            server.rates.append(many["rate"])
            server.costs.append(many["cost"])
            server.p99s.append(many["p99"])
            server.p50s.append(one["p50"])
            others = max(many["others"], one["others"])
            say(
                f"round {number + 1} {server.name:>13}: {many['rate']:>7.0f}/s at {many['cost']:>5.1f} us of CPU, "
                f"alone p50 {one['p50']} us, others {others:.0%}"
            )


def paired(one, other):
    """The median of the ratios of rounds that follow each other."""
    return median([a / b for a, b in zip(one, other)])


def judge(rows, dise, tutorial, tuned, axum):
    for peer, label in (
        (tutorial, "FastAPI as in its tutorial (models, asyncio, h11)"),
        (tuned, "FastAPI tuned (no models, uvloop, httptools)"),
    ):
        ratio = paired(dise.rates, peer.rates)
        rows.add(
            f"served calls, {CONNECTIONS} connections",
            spread(dise.rates, "/s", 0),
            f"{label}, {WORKERS} processes: {spread(peer.rates, '/s', 0)}",
            f"{ratio:.2f}x",
            ">= 3x",
            ratio >= 3,
        )
    rows.add(
        "the same beside a bare handler",
        f"{median(dise.rates):.0f}/s",
        f"bare axum: {median(axum.rates):.0f}/s",
        f"{paired(dise.rates, axum.rates):.2f}x",
    )
    peers = (tutorial, tuned, axum)
    above = median([a - b for a, b in zip(dise.p50s, axum.p50s)])
    compare(rows, "CPU of a served call, all processes", dise, peers, lambda server: median(server.costs), "us", 1)
    compare(rows, "p50 of a served call, 1 connection", dise, peers, lambda server: median(server.p50s), "us", 0)
    rows.add("the same above a bare handler", f"{above:.0f} us", "", "", "<= 150 us", above <= 150)
    p99 = f"p99 of a served call, {CONNECTIONS} connections"
    compare(rows, p99, dise, peers, lambda server: median(server.p99s) / 1000, "ms", 2)
    memory = "memory under that load, all processes (PSS)"
    compare(rows, memory, dise, peers, lambda server: server.memory, "MiB", 0)


def compare(rows, benchmark, dise, peers, figure, unit, digits):
    """A row without a target: a figure of every server, and the ratios."""
    values = [(server.name, figure(server)) for server in peers]
    rows.add(
        benchmark,
        f"{figure(dise):.{digits}f} {unit}",
        "; ".join(f"{name}: {value:.{digits}f} {unit}" for name, value in values),
        "; ".join(f"{figure(dise) / value:.2f}x" for _, value in values),
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runner", required=True, help="the binary dise-runner")
    parser.add_argument("--axum", required=True, help="the binary axum_baseline")
    parser.add_argument("--python", required=True, help="a Python that has FastAPI")
    parser.add_argument("--rows", help="file that the rows are added to")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=5, help="length of a round")
    parser.add_argument("--patience", type=float, default=180, help="seconds to wait for a quiet machine")
    args = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("wrk is not installed")
    processes.wait_until_quiet(args.patience)
    cost = min(timeit.repeat(lambda: words.run({"text": TEXT}), number=5000, repeat=5)) / 5000 * 1e6
    say(f"the function itself takes {cost:.1f} us")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["BENCH_BODY"] = f"{folder}/body"
        Path(folder, "body").write_bytes(body(TEXT))
        servers = start(args, folder)
        try:
            check(servers)
            rounds(servers, args)
        except Unmeasurable as reason:
            sys.exit(str(reason))
        finally:
            for server in servers:
                server.stop()
    rows = Rows(args.rows)
    judge(rows, *servers)
    rows.keep()


if __name__ == "__main__":
    main()
