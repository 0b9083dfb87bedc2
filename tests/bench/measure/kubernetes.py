"""A cluster, through `kubectl proxy`: any authentication works, and watches tell the time to the millisecond."""

import contextlib
import http.client
import json
import os
import subprocess
import threading
import time
from urllib.parse import quote, urlencode

from . import processes
from .report import Unmeasurable

SYSTEM = os.environ.get("DISE_SYSTEM_NAMESPACE", "dise-system")
DISE = "/apis/dise.dev/v1alpha1"
# What the operator writes, by path; the Lease is looked at apart.
WRITTEN = {
    **{kind: DISE for kind in ("workflows", "workflowruns", "artifacts", "tools")},
    **{kind: "/api/v1" for kind in ("services", "serviceaccounts", "secrets")},
    "deployments": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "networkpolicies": "/apis/networking.k8s.io/v1",
    "events": "/apis/events.k8s.io/v1",
}


class Cluster:
    """Requests, watches, and namespaces that are deleted in the end."""

    def __init__(self):
        self.proxy = subprocess.Popen(["kubectl", "proxy", "--port=0"], stdout=subprocess.PIPE, text=True)
        line = self.proxy.stdout.readline()
        if ":" not in line:
            raise Unmeasurable("kubectl cannot reach a cluster; is KUBECONFIG set?")
        self.port = int(line.rsplit(":", 1)[1])
        self.local = threading.local()
        self.namespaces = []
        self.unique = f"{int(time.time()):x}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for namespace in self.namespaces:
            with contextlib.suppress(OSError, ApiError):
                self.request("DELETE", f"/api/v1/namespaces/{namespace}")
        self.proxy.terminate()
        self.proxy.wait()

    def request(self, method, path, body=None):
        """The answer's JSON, or its text where it is none."""
        status, text = self.answer(method, path, body)
        if status >= 400:
            raise ApiError(f"{method} {path}: {status} {text[:500]}")
        try:
            return json.loads(text)
        except ValueError:
            return text

    def answer(self, method, path, body=None):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection = self.local.connection
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, data, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            connection.close()
            raise

    def watch(self, path, handle, stop, selector=""):
        """Calls `handle(type, object)` for what is there and for every change, in a thread, until `stop` is set.

        A watch that ends before is not resumed, for a change may have been missed: `handle("LOST", None)` tells so.
        """
        listed = self.request("GET", path + ("?" + urlencode({"labelSelector": selector}) if selector else ""))
        for item in listed["items"]:
            handle("LISTED", item)
        query = {"watch": 1, "resourceVersion": listed["metadata"]["resourceVersion"], "timeoutSeconds": 1800}
        if selector:
            query["labelSelector"] = selector
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("GET", f"{path}?{urlencode(query)}")
        answer = connection.getresponse()

        def follow():
            with contextlib.suppress(OSError, http.client.HTTPException, AttributeError):
                for line in answer:
                    event = json.loads(line)
                    if stop.is_set():
                        return
                    handle(event["type"], event["object"])
            if not stop.is_set():
                handle("LOST", None)

        thread = threading.Thread(target=follow, daemon=True)
        thread.start()
        return thread

    def namespace(self, purpose):
        """A namespace of the benchmark's own, with its service account in place."""
        name = f"dise-bench-{purpose}-{self.unique}"
        labels = {"pod-security.kubernetes.io/enforce": "restricted", "dise.dev/bench": "true"}
        self.request("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        self.namespaces.append(name)
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt"):
            until(lambda path=path: self.answer("GET", f"/api/v1/namespaces/{name}/{path}")[0] == 200, 30, path)
        return name

    def delete(self, namespace):
        self.request("DELETE", f"/api/v1/namespaces/{namespace}")
        self.namespaces.remove(namespace)

    def create(self, namespace, prefix, plural, body):
        return self.request("POST", f"{prefix}/namespaces/{namespace}/{plural}", body)

    def run(self, namespace, workflow, payload):
        """A run of a workflow over HTTP: the status and the answer."""
        path = f"/api/v1/namespaces/{namespace}/services/{workflow}:http/proxy/v1/workflows/{workflow}/run"
        status, text = self.answer("POST", path, {"input": payload})
        try:
            return status, json.loads(text)
        except ValueError:
            return status, {}

    def pod(self, namespace, selector):
        """The one pod that is selected and running."""
        found = self.request("GET", f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}")["items"]
        found = [pod for pod in found if pod["status"]["phase"] == "Running"]
        found = [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]
        if len(found) != 1:
            raise Unmeasurable(f"{len(found)} pods in {namespace} are {selector}, not one")
        return found[0]

    def process(self, namespace, selector, name):
        """The process of a pod, when this machine is its node."""
        pod = self.pod(namespace, selector)
        pid = processes.of_pod(pod["metadata"]["uid"], name)
        if pid is None:
            raise Unmeasurable(f"the pod {pod['metadata']['name']} does not run on this machine")
        return pid

    def metric(self, name):
        """The values of a metric of the operator, by its labels."""
        pod = self.pod(SYSTEM, "app.kubernetes.io/component=operator")["metadata"]["name"]
        text = self.request("GET", f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:8080/proxy/metrics")
        lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith(name + "{"))
        return {labels.partition("{")[2].rstrip("}"): float(value) for labels, _, value in lines}


class ApiError(Unmeasurable):
    """The API server refused."""


def apply(namespace, manifest):
    """`kubectl apply` of a file or an object; returns when it was started."""
    text = None if isinstance(manifest, str) else json.dumps(manifest)
    began = time.monotonic()
    name = manifest if text is None else "-"
    command = ["kubectl", "--namespace", namespace, "apply", "--filename", name]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unmeasurable(f"kubectl apply: {done.stderr}")
    return began


def until(holds, patience, what):
    end = time.monotonic() + patience
    while not (found := holds()):
        if time.monotonic() > end:
            raise Unmeasurable(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.005)
    return found


def is_condition(item, kind, generation=True):
    """Whether a condition is true, and about the present generation."""
    for condition in item.get("status", {}).get("conditions", []):
        if condition["type"] == kind and condition["status"] == "True":
            return not generation or condition.get("observedGeneration") == item["metadata"]["generation"]
    return False
