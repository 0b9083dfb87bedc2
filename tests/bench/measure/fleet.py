"""What 300 workflows in one namespace cost: time, memory, and writes to the API server while nothing happens."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

from . import objects, processes
from .kubernetes import DISE, SYSTEM, WRITTEN, until
from .report import Unmeasurable, say
from .runs import Followed, is_complete, is_ready

OPERATOR = ("app.kubernetes.io/component=operator", "dise-operator")
# A worker process without calls is ended after a minute, and looked at every quarter of one.
WORKERS_GONE = 80
QUIET = 60


class Count:
    """Every write to what the operator writes, in some namespaces, whoever made it; the Lease is counted apart."""

    def __init__(self, cluster, namespaces):
        self.writes, self.lease, self.lost, self.stop = [], 0, False, threading.Event()
        for namespace in namespaces:
            for plural, prefix in WRITTEN.items():
                cluster.watch(f"{prefix}/namespaces/{namespace}/{plural}", self.handle, self.stop)
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases"
        cluster.watch(leases, self.handle_lease, self.stop)

    def handle(self, kind, item):
        self.lost = self.lost or kind == "LOST"
        if kind in ("ADDED", "MODIFIED", "DELETED"):
            managed = item["metadata"].get("managedFields") or [{}]
            last = max(managed, key=lambda entry: entry.get("time", ""))
            self.writes.append((kind, item["kind"], item["metadata"]["name"], last.get("manager", "")))

    def handle_lease(self, kind, _):
        self.lease += kind != "LISTED"


def create_all(cluster, namespace, count):
    """Creates the workflows through eight connections, as fast as the API server takes them."""

    def create(number):
        body = objects.chain(f"flow-{number:03}", number + 1)
        return cluster.create(namespace, DISE, "workflows", body)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(count)))


def check(cluster, namespace, count):
    for number in (0, count // 2, count - 1):
        name = f"flow-{number:03}"

        def answers(name=name, wanted=number + 2):
            status, answer = cluster.run(namespace, name, {"n": 1})
            return status == 200 and answer["output"] == {"sum": wanted}

        until(answers, 10, f"the answer of {name}")


def reconciles(cluster):
    return sum(cluster.metric("dise_reconcile_seconds_count").values())


def settle(namespace, cluster):
    """Waits until nothing was written for ten seconds."""
    count = Count(cluster, [namespace])
    seen, since = 0, time.monotonic()
    end = since + 180
    while time.monotonic() - since < 10 and time.monotonic() < end:
        time.sleep(0.5)
        if len(count.writes) != seen:
            seen, since = len(count.writes), time.monotonic()
    count.stop.set()


def quiet_minute(cluster, namespace, pid, rows, count):
    """Writes, reconciles and CPU time while nobody wants anything."""
    before, cpu, watched = reconciles(cluster), processes.cpu_seconds(pid), Count(cluster, [namespace, SYSTEM])
    time.sleep(QUIET)
    watched.stop.set()
    if watched.lost:
        raise Unmeasurable("a watch ended in the quiet minute")
    for write in watched.writes:
        say(f"written in the quiet minute: {write}")
    used, done = processes.cpu_seconds(pid) - cpu, reconciles(cluster) - before
    writes = len(watched.writes)
    name = f"writes in a quiet minute with {count} workflows, by anybody"
    rows.add(name, f"{writes}; Lease: {watched.lease}", target="<= 1, the Lease aside", met=writes <= 1)
    rows.add("operator's CPU and reconciles in that minute", f"{used:.2f} s; {done:.0f} reconciles")


def memory(pid):
    return processes.memory(pid, "VmRSS")


def measure(cluster, rows, count):
    pid = cluster.process(SYSTEM, *OPERATOR)
    idle = memory(pid)
    namespace = cluster.namespace("fleet")
    flows = Followed(cluster, namespace, DISE, "workflows", is_ready)
    jobs = Followed(cluster, namespace, "/apis/batch/v1", "jobs", is_complete)
    processes.wait_until_quiet(60)
    processes.reset_peak(pid)
    before, cpu = reconciles(cluster), processes.cpu_seconds(pid)
    began = time.monotonic()
    create_all(cluster, namespace, count)
    created = time.monotonic() - began
    flows.until(lambda: len(flows.when) >= count or time.sleep(0.1), 600, f"{count} workflows to be ready")
    taken = max(flows.when.values()) - began
    peak = processes.memory(pid, "VmHWM")
    used, done = processes.cpu_seconds(pid) - cpu, reconciles(cluster) - before
    check(cluster, namespace, count)
    say(f"{count} workflows were created in {created:.1f} s and ready after {taken:.1f} s")
    settle(namespace, cluster)
    proofs = [at for name, at in jobs.when.items() if name.startswith("dise-verify-") and at]
    limit = f"creating them: {created:.1f} s"
    ratio = f"{taken / created:.1f}x"
    name = f"{count} workflows at once until all are ready"
    rows.add(name, f"{taken:.1f} s", limit, ratio, "<= 180 s", taken <= 180)
    rows.add(
        "verification Jobs for them",
        f"{len(proofs)}, the last complete after {max(proofs) - began:.1f} s",
        f"one for each: {count}",
        f"{len(proofs) / count:.2f}x",
    )
    rows.add("operator's CPU and reconciles for them", f"{used:.1f} s; {done:.0f} reconciles")
    rows.add("operator's memory, peak meanwhile", f"{peak:.0f} MiB", target="<= 128 MiB", met=peak <= 128)

    say(f"waiting {WORKERS_GONE} s for the worker processes to end")
    time.sleep(WORKERS_GONE)
    executor = cluster.process(namespace, "dise.dev/executor=shared.dise.dev", "dise-runner")
    held, shared = memory(executor), processes.shared_memory(executor)
    full = memory(pid)
    rows.add(
        f"executor's memory with {count} idle workflows",
        f"{held:.0f} MiB; with its children {shared:.0f} MiB (PSS)",
        target="<= 150 MiB",
        met=held <= 150,
    )
    quiet_minute(cluster, namespace, pid, rows, count)
    flows.stop.set()
    jobs.stop.set()
    clean_up(cluster, namespace, pid)
    after = memory(pid)
    rows.add(
        "operator's memory, idle",
        f"{idle:.0f} MiB before; {full:.0f} MiB with {count}; {after:.0f} MiB after",
        target="<= 64 MiB",
        met=max(idle, full, after) <= 64,
    )


def clean_up(cluster, namespace, pid):
    """Deletes the namespace and waits until it and its traces in the operator are gone."""
    cluster.delete(namespace)
    until(lambda: cluster.answer("GET", f"/api/v1/namespaces/{namespace}")[0] == 404 or time.sleep(1), 300, namespace)
    time.sleep(20)
    if memory(pid) == 0:
        raise Unmeasurable("the operator was restarted meanwhile")
