"""An operator that lists one plan: as much of its API as an executor needs, over plain HTTP."""

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

LIMITS = {"timeoutSeconds": 30, "memoryMib": 256, "outputBytes": 4 << 20, "printedBytes": 1 << 20}
INPUT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
OUTPUT = {
    "type": "object",
    "required": ["label", "score"],
    "properties": {"label": {"type": "string"}, "score": {"type": "integer"}},
}


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class FakeOperator:
    """Serves a workflow of one step, whose function has the given source, until the process ends."""

    def __init__(self, workflow, source):
        function = b"Python\n" + source.encode()
        plan = json.dumps(self.plan(workflow, digest(function)), sort_keys=True, separators=(",", ":")).encode()
        self.blobs = {digest(function): function, digest(plan): plan}
        self.list = {"revision": "1", "plans": {workflow: digest(plan)}}
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @staticmethod
    def plan(workflow, function):
        option = {"name": "code", "language": "Python", "function": function, "artifact": "a-1", "generation": 1}
        step = {"name": "only", "input": "${input}", "output": OUTPUT, "limits": LIMITS, "options": [option]}
        result = "${steps.only}"
        return {
            "format": 1,
            "namespace": "bench",
            "workflow": workflow,
            "input": INPUT,
            "steps": [step],
            "result": result,
        }

    def handler(self):
        operator = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urlsplit(self.path)
                if url.path == "/v1/plans":
                    query = parse_qs(url.query, keep_blank_values=True)
                    if query["revision"] == [operator.list["revision"]]:
                        time.sleep(int(query["waitSeconds"][0]))
                    self.answer(200, json.dumps(operator.list).encode())
                else:
                    blob = operator.blobs.get(url.path.rpartition("/")[2])
                    self.answer(200 if blob else 404, blob or b"")

            def do_PUT(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                self.answer(204, b"")

            def answer(self, status, body):
                self.send_response(status)
                if status != 204:
                    self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        return Handler
