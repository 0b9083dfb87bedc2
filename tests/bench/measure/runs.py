"""How long it takes until a workflow is ready, until a run has ended, and until changed code answers."""

import threading
import time

from . import objects
from .kubernetes import DISE, SYSTEM, apply, is_condition, until
from .processes import wait_until_quiet
from .report import Unmeasurable, median, percentile, say, spread

PATIENCE = 120


class Followed:
    """What became of the objects of a kind in a namespace, and when."""

    def __init__(self, cluster, namespace, prefix, plural, holds):
        self.holds, self.when, self.events, self.lost = holds, {}, [], False
        self.stop = threading.Event()
        cluster.watch(f"{prefix}/namespaces/{namespace}/{plural}", self.handle, self.stop)

    def handle(self, kind, item):
        if kind == "LOST":
            self.lost = True
            return
        now, name = time.monotonic(), item["metadata"]["name"]
        self.events.append((now, kind, item))
        if is_condition(item, "Failed", generation=False):
            self.when[name] = None
        elif self.holds(item):
            self.when.setdefault(name, now)

    def wait(self, name, patience=PATIENCE):
        self.until(lambda: name in self.when, patience, name)
        if self.when[name] is None:
            raise Unmeasurable(f"{name} failed")
        return self.when[name]

    def until(self, holds, patience, what):
        def holds_or_is_lost():
            if self.lost:
                raise Unmeasurable(f"the watch ended while waiting for {what}; was the API server restarted?")
            return holds()

        return until(holds_or_is_lost, patience, what)


def is_ready(item):
    return is_condition(item, "Ready")


def is_complete(item):
    return is_condition(item, "Complete", generation=False)


def image(cluster):
    """The image that runner pods are started from, and how it is pulled."""
    pod = cluster.pod(SYSTEM, "app.kubernetes.io/component=operator")
    env = {entry["name"]: entry.get("value") for entry in pod["spec"]["containers"][0]["env"]}
    return env["DISE_RUNNER_IMAGE"], env.get("DISE_RUNNER_PULL_POLICY", "IfNotPresent")


def bare_job(cluster, namespace, jobs, name):
    """The seconds from creating a Job, which does next to nothing, to its completion."""
    program = "import json; print(json.dumps({'n': json.loads('{\"n\": 1}')['n'] + 1}))"
    began = time.monotonic()
    cluster.create(namespace, "/apis/batch/v1", "jobs", objects.job(name, *image(cluster), program))
    return jobs.wait(name) - began


def sentiment(cluster, rows, manifest, times):
    """`kubectl apply` of the example to Ready, each time in a namespace that never saw it."""
    taken, floor = [], []
    for number in range(times):
        namespace = cluster.namespace(f"ready{number}")
        jobs = Followed(cluster, namespace, "/apis/batch/v1", "jobs", is_complete)
        wait_until_quiet(30)
        floor.append(bare_job(cluster, namespace, jobs, "bare"))
        flows = Followed(cluster, namespace, DISE, "workflows", is_ready)
        began = apply(namespace, manifest)
        taken.append(flows.wait("sentiment") - began)
        say(f"apply to Ready: {taken[-1]:.2f} s; a bare Job: {floor[-1]:.2f} s")
        flows.stop.set()
        jobs.stop.set()
        cluster.delete(namespace)
        # Its pods end before the next one is measured.
        time.sleep(5)
    ratio = f"{median(taken) / median(floor):.2f}x"
    met = median(taken) <= 15
    peer = f"one bare Job: {spread(floor, 's')}"
    rows.add("kubectl apply of the sentiment example to Ready", f"{spread(taken, 's')}", peer, ratio, "<= 15 s", met)


def three_steps(cluster, rows, times):
    """A run of three steps as an object, beside three Jobs that follow each other."""
    namespace = cluster.namespace("runs")
    flows = Followed(cluster, namespace, DISE, "workflows", is_ready)
    jobs = Followed(cluster, namespace, "/apis/batch/v1", "jobs", is_complete)
    ended = Followed(cluster, namespace, DISE, "workflowruns", lambda item: is_condition(item, "Succeeded"))
    apply(namespace, objects.chain("sum", 1, 10, 100))
    flows.wait("sum")
    taken, peer = [], []
    for number in range(times):
        wait_until_quiet(30)
        name = f"run{number}"
        began = time.monotonic()
        cluster.create(namespace, DISE, "workflowruns", objects.run(name, "sum", number))
        taken.append(ended.wait(name) - began)
        found = cluster.request("GET", f"{DISE}/namespaces/{namespace}/workflowruns/{name}")
        if found["status"].get("output") != {"sum": number + 111}:
            raise Unmeasurable(f"the run of {number} gave {found['status'].get('output')}")
        if number % 2 == 0:
            peer.append(sum(bare_job(cluster, namespace, jobs, f"peer{number}-{step}") for step in range(3)))
        say(f"a run of three steps: {taken[-1]:.2f} s; three Jobs: {peer[-1]:.2f} s")
    rows.add(
        "WorkflowRun of three steps, create to Succeeded",
        f"{spread(taken, 's')}; p95 {percentile(taken, 95):.2f} s",
        f"a Job for each step: {spread(peer, 's')}",
        f"{median(taken) / median(peer):.2f}x",
        "<= 2.5 s",
        median(taken) <= 2.5,
    )
    for followed in (flows, jobs, ended):
        followed.stop.set()
    cluster.delete(namespace)


def first_answer(cluster, namespace, flows, additions):
    """Applies changed code under load; when the plan had changed and when the first new answer came, in seconds."""
    seen = len(flows.events)
    before = flows.events[-1][2]["status"]["planHash"]
    began = apply(namespace, objects.chain("sum", *additions))
    end, failed = began + PATIENCE, 0
    while True:
        status, answer = cluster.run(namespace, "sum", {"n": 1})
        now = time.monotonic()
        if status != 200:
            failed += 1
        elif answer["output"] == {"sum": 1 + sum(additions)}:
            break
        if now > end:
            raise Unmeasurable("changed code never answered")
        time.sleep(0.005)

    def planned():
        changed = (at for at, _, item in flows.events[seen:] if item["status"].get("planHash") != before)
        return next(changed, None)

    at = flows.until(planned, 10, "the plan in the status")
    flows.until(lambda: is_ready(flows.events[-1][2]), PATIENCE, "the workflow to be ready")
    return at - began, now - began, failed


def changes(cluster, rows, times):
    """From `kubectl apply` of changed code to the first answer of it."""
    namespace = cluster.namespace("change")
    flows = Followed(cluster, namespace, DISE, "workflows", is_ready)
    jobs = Followed(cluster, namespace, "/apis/batch/v1", "jobs", is_complete)
    apply(namespace, objects.chain("sum", 1, 2, 3))
    flows.wait("sum")
    until(lambda: cluster.run(namespace, "sum", {"n": 1})[0] == 200, 30, "the first answer")
    new, known, floor, failures = [], [], [], 0
    for number in range(times):
        for taken, additions in ((new, (1, 2, 1000 + number)), (known, (1, 2, 3))):
            wait_until_quiet(30)
            planned, answered, failed = first_answer(cluster, namespace, flows, additions)
            taken.append((answered, answered - planned))
            failures += failed
            say(f"apply to plan {planned:.3f} s, to first new answer {answered:.3f} s, {failed} requests failed")
        floor.append(bare_job(cluster, namespace, jobs, f"bare{number}"))
    for name, taken in (("new", new), ("known", known)):
        whole, after = zip(*taken)
        peer = f"one bare Job: {spread(floor, 's')}" if name == "new" else ""
        ratio = f"{median(whole) / median(floor):.2f}x" if name == "new" else ""
        rows.add(f"kubectl apply of {name} code to its first answer", f"{spread(whole, 's')}", peer, ratio)
        rows.add(
            f"plan of {name} code in the status to its first answer",
            f"{spread(after, 's', 3)}",
            target="<= 3 s",
            met=median(after) <= 3,
        )
    rows.add("requests that failed while code was changed", str(failures), target="0", met=failures == 0)
    flows.stop.set()
    jobs.stop.set()
    cluster.delete(namespace)
