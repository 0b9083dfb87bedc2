"""What the benchmarks put into the cluster."""


def step(name, value, by):
    source = f"def run(input):\n    return {{'n': input['n'] + {by}}}\n"
    return {
        "name": name,
        "input": {"n": value},
        "output": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
        "examples": [{"input": {"n": 1}, "output": {"n": 1 + by}}],
        "options": [{"name": "code", "function": {"language": "Python", "source": source}}],
    }


def chain(name, *additions):
    """A workflow that adds numbers, each in a step of its own."""
    steps, value = [], "${input.n}"
    for number, by in enumerate(additions, 1):
        steps.append(step(f"step{number}", value, by))
        value = f"${{steps.step{number}.n}}"
    return {
        "apiVersion": "dise.dev/v1alpha1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {
            "input": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
            "steps": steps,
            "result": {"sum": value},
        },
    }


def run(name, workflow, n):
    return {
        "apiVersion": "dise.dev/v1alpha1",
        "kind": "WorkflowRun",
        "metadata": {"name": name},
        "spec": {"workflow": workflow, "input": {"n": n}},
    }


def job(name, image, pull_policy, program):
    """A bare Job of Python with the image, the security and the resources of DiSE's own, and nothing mounted."""
    container = {
        "name": "step",
        "image": image,
        "imagePullPolicy": pull_policy,
        "command": ["/usr/bin/python3", "-c", program],
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    return {"metadata": {"name": name}, "spec": {"backoffLimit": 0, "template": {"spec": pod}}}
