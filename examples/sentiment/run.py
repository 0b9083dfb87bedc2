#!/usr/bin/env python3
"""Send human-rated texts through the workflow `sentiment` and measure how well and how fast it answers.

What people rated and what the workflow answers are each one of three classes:

  people    the mean rating rounds to 0 on their scale of -4 to 4 (it lies between -0.5 and 0.5): neutral
  workflow  its label: a compound of at least 0.05 is positive, of at most -0.05 negative, else neutral

Exits 1 if a request failed or a number is below the one stated in expect.json.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import data

CLASSES = ("positive", "neutral", "negative")
EXPECT = Path(__file__).with_name("expect.json")
ATTEMPTS = 4
# What a connection that the server closed, or never opened, raises; RemoteDisconnected is a ConnectionResetError.
CLOSED = (ConnectionError, http.client.BadStatusLine, http.client.IncompleteRead)


@dataclass
class Outcome:
    """What came of one request: an output, or an error."""

    output: dict | None = None
    quality: float | None = None
    error: str = ""
    seconds: float = 0.0
    retries: int = 0


@dataclass
class Client:
    """One kept-alive connection to the workflow's Service."""

    url: str
    host: str | None
    timeout: float
    connection: http.client.HTTPConnection | None = field(default=None, init=False)

    def post(self, body):
        """One exchange on the connection: the status and the body."""
        if self.connection is None:
            parts = urlsplit(self.url)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            self.connection = kind(parts.netloc, timeout=self.timeout)
        headers = {"Content-Type": "application/json"}
        if self.host:
            headers["Host"] = self.host
        self.connection.request("POST", urlsplit(self.url).path.rstrip("/") + "/v1/run", body, headers)
        response = self.connection.getresponse()
        return response.status, response.read()

    def close(self):
        """Forget the connection, whatever its state."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def run(self, text):
        """Run the workflow on a text. A connection that breaks is replaced and the text sent again, at most thrice."""
        body = json.dumps({"input": {"text": text}}).encode()
        outcome = Outcome()
        while True:
            begin = time.perf_counter()
            try:
                status, answer = self.post(body)
                outcome.seconds = time.perf_counter() - begin
                break
            except CLOSED as error:
                self.close()
                if outcome.retries + 1 == ATTEMPTS:
                    outcome.error = f"{type(error).__name__} {ATTEMPTS} times"
                    return outcome
                outcome.retries += 1
                time.sleep(0.05 * 2**outcome.retries)
            except (OSError, http.client.HTTPException) as error:
                self.close()
                outcome.error = type(error).__name__
                return outcome
        try:
            parsed = json.loads(answer)
            if status != 200:
                outcome.error = f"{status} {parsed.get('detail') or parsed.get('title')}"
                return outcome
            label, compound = parsed["output"]["label"], float(parsed["output"]["compound"])
            outcome.output = {"label": label, "compound": compound}
            outcome.quality = None if parsed.get("quality") is None else float(parsed["quality"])
            if label not in CLASSES:
                outcome.error = f"unknown label {label!r}"
        except (ValueError, KeyError, TypeError, AttributeError):
            outcome.error = f"{status} with an answer that is none: {answer[:80]!r}"
        return outcome


def send(items, args):
    """Send all texts over `args.connections` connections; return the outcomes in order, and the seconds taken."""
    outcomes = [None] * len(items)
    todo = iter(range(len(items)))
    lock = threading.Lock()

    def work():
        client = Client(args.url, args.host, args.timeout)
        while True:
            with lock:
                index = next(todo, None)
            if index is None:
                client.close()
                return
            outcomes[index] = client.run(items[index].text)

    threads = [threading.Thread(target=work) for _ in range(min(args.connections, len(items)))]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes, time.perf_counter() - begin


def class_of(rating):
    """The class that people put a text in."""
    return "positive" if rating >= 0.5 else "negative" if rating <= -0.5 else "neutral"


def measure(items, outcomes):
    """How well the answers agree with the people. A failed request counts as a wrong answer."""
    answered = [(i.rating, o.output) for i, o in zip(items, outcomes, strict=True) if not o.error]
    table = Counter((class_of(rating), output["label"]) for rating, output in answered)
    sided = sum(class_of(item.rating) != "neutral" for item in items)
    same_side = sum(class_of(r) != "neutral" and r * output["compound"] > 0 for r, output in answered)
    try:
        correlation = statistics.correlation([r for r, _ in answered], [output["compound"] for _, output in answered])
    except statistics.StatisticsError:
        correlation = None  # fewer than two answers, or all of them equal
    return {
        "items": len(items),
        "accuracy": sum(table[name, name] for name in CLASSES) / len(items),
        "twoClassAccuracy": same_side / sided if sided else None,
        "correlation": correlation,
    }, table


def percentile(ordered, percent):
    """The nearest-rank percentile of sorted numbers."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def report(name, items, outcomes, seconds):
    """Print what was measured on a data set; return the numbers that expect.json speaks of."""
    measured, table = measure(items, outcomes)
    shown = {key: "-" if value is None else f"{value:.4f}" for key, value in measured.items()}
    ratings = Counter(class_of(item.rating) for item in items)
    likeliest, count = ratings.most_common(1)[0]
    print(f"\n{name}: {len(items)} texts")
    print(f"  accuracy, 3 classes  {shown['accuracy']}  (always {likeliest}: {count / len(items):.4f})")
    print(f"  accuracy, 2 classes  {shown['twoClassAccuracy']}  (the texts that people did not find neutral)")
    print(f"  correlation          {shown['correlation']}  (compound and mean rating, Pearson)")
    print(f"  {'people / workflow':<20}" + "".join(f"{predicted:>10}" for predicted in CLASSES))
    for actual in CLASSES:
        print(f"  {actual:>17}   " + "".join(f"{table[actual, predicted]:>10}" for predicted in CLASSES))
    qualities = [outcome.quality for outcome in outcomes if outcome.quality is not None]
    if qualities:
        print(f"  quality              {statistics.fmean(qualities):.4f}  (share of the workflow's checks that held)")
    latencies = sorted(outcome.seconds * 1000 for outcome in outcomes if not outcome.error)
    if latencies:
        p50, p95 = percentile(latencies, 50), percentile(latencies, 95)
        print(f"  speed                {len(items) / seconds:.0f} requests/s, p50 {p50:.2f} ms, p95 {p95:.2f} ms")
    errors = Counter(outcome.error for outcome in outcomes if outcome.error)
    retries = sum(outcome.retries for outcome in outcomes)
    print(f"  errors               {errors.total()}, retried after a broken connection: {retries}")
    for error, times in errors.most_common(5):
        print(f"    {times} x {error}")
    return measured, errors.total()


def shortfalls(name, measured, expected):
    """What is below its stated value, in sentences."""
    for key, least in expected.items():
        got = measured[key]
        if got is None or got < least:
            yield f"{name}: {key} is {got if got is None else round(got, 4)}, stated is at least {least}"


def parse_args():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True, help="base URL that reaches the workflow's Service")
    parser.add_argument("--host", help="Host header, where the URL's host is not the Service's name")
    parser.add_argument(
        "--dataset", action="append", choices=data.FILES, help="repeatable; default: those in expect.json"
    )
    parser.add_argument("--limit", type=int, help="only the first N texts of each; nothing is compared then")
    parser.add_argument("--connections", type=int, default=8, help="requests at the same time (default: 8)")
    parser.add_argument("--timeout", type=float, default=30.0, help="seconds for one answer (default: 30)")
    args = parser.parse_args()
    if args.connections < 1 or (args.limit is not None and args.limit < 1):
        parser.error("--connections and --limit: use at least 1")
    if urlsplit(args.url).scheme not in ("http", "https"):
        parser.error("--url: use an http:// or https:// URL")
    return args


def main():
    """Measure the data sets one after the other."""
    args = parse_args()
    expected = json.loads(EXPECT.read_text())
    faults, compared = [], False
    for name in args.dataset or expected:
        items = data.load(name)[: args.limit]
        outcomes, seconds = send(items, args)
        measured, errors = report(name, items, outcomes, seconds)
        if errors:
            faults.append(f"{name}: {errors} of {len(items)} requests failed")
        if args.limit is None and name in expected:
            compared = True
            faults.extend(shortfalls(name, measured, expected[name]))
    print()
    for fault in faults:
        print(fault, file=sys.stderr)
    if not faults:
        print("all requests succeeded" + (", and the stated result is met" if compared else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
