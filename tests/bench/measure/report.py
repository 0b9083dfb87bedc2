"""Rows of numbers: how they are judged, kept and printed."""

import json
import os
import platform
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path


class Unmeasurable(Exception):
    """A number could not be taken; the message says why."""


@dataclass
class Row:
    """One number. `met` is None where no target is stated."""

    benchmark: str
    value: str
    peer: str = ""
    ratio: str = ""
    target: str = ""
    met: "bool | None" = None

    @property
    def verdict(self):
        return {None: "", True: "PASS", False: "MISS"}[self.met]


class Rows:
    """Rows that are shown as they come; those of a measurement that came to its end go into a file, one a line."""

    def __init__(self, path):
        self.path, self.pending = path, []

    def add(self, *args, **kwargs):
        row = Row(*args, **kwargs)
        say(f"{row.benchmark}: {row.value}  {row.peer}  {row.ratio}  {row.target}  {row.verdict}")
        self.pending.append(row)

    def keep(self):
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.writelines(json.dumps(asdict(row)) + "\n" for row in self.pending)
        self.discard()

    def discard(self):
        self.pending = []


def say(text):
    print(text, file=sys.stderr, flush=True)


def median(numbers):
    return statistics.median(numbers)


def percentile(numbers, percent):
    """The smallest number that at least `percent` of the numbers do not exceed."""
    ordered = sorted(numbers)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def spread(numbers, unit, digits=2):
    """A median with the extremes beside it."""
    low, high = min(numbers), max(numbers)
    return f"{median(numbers):.{digits}f} {unit} ({low:.{digits}f} to {high:.{digits}f}, n={len(numbers)})"


def machine():
    """What the numbers were taken on."""
    cpu = next((line.split(":", 1)[1] for line in read("/proc/cpuinfo").splitlines() if "model name" in line), "")
    memory = int(read("/proc/meminfo").split()[1]) / 1024 / 1024
    return {
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "processor": cpu.strip() or platform.machine(),
        "cores": os.cpu_count(),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def read(path):
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def table(rows):
    head = ["benchmark", "value", "peer or limit", "ratio", "target", "verdict"]
    cells = [[row.benchmark, row.value, row.peer, row.ratio, row.target, row.verdict] for row in rows]
    widths = [max(len(line[column]) for line in [head, *cells]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *cells]
    padded = (" | ".join(cell.ljust(width) for cell, width in zip(line, widths)) for line in lines)
    return "\n".join(f"| {line} |" for line in padded)


def main():
    """`report machine` prints the machine; `report table FILE` prints the rows of a file."""
    if sys.argv[1:] == ["machine"]:
        print("\n".join(f"{name}: {value}" for name, value in machine().items()))
    else:
        print(table([Row(**json.loads(line)) for line in read(sys.argv[2]).splitlines()]))


if __name__ == "__main__":
    main()
