"""What processes use, read from /proc."""

import os
import time
from pathlib import Path

from .report import read, say

TICK = os.sysconf("SC_CLK_TCK")
# Indices of /proc/PID/stat behind the name of the process.
PARENT, USER, SYSTEM, REAPED_USER, REAPED_SYSTEM = 1, 11, 12, 13, 14


def stat(pid):
    """The fields of /proc/PID/stat that follow the name, or None when the process is gone."""
    text = read(f"/proc/{pid}/stat")
    return text.rpartition(")")[2].split() if text else None


def pids():
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]


def tree(root):
    """A process and its descendants."""
    children = {}
    for pid in pids():
        fields = stat(pid)
        if fields:
            children.setdefault(int(fields[PARENT]), []).append(pid)
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo.extend(children.get(pid, []))
    return found


def cpu_seconds(root, system=True):
    """CPU time of a process and its descendants, those that have ended included; with or without the kernel's."""
    counted = (USER, REAPED_USER, SYSTEM, REAPED_SYSTEM) if system else (USER, REAPED_USER)
    all_fields = [stat(pid) for pid in tree(root)]
    return sum(int(fields[index]) for fields in all_fields if fields for index in counted) / TICK


def memory(pid, field):
    """A field of /proc/PID/status such as VmRSS, in MiB."""
    for line in read(f"/proc/{pid}/status").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def shared_memory(root):
    """What a process and its descendants hold, in MiB; a page that n processes share counts 1/n in each (PSS)."""
    total = 0
    for pid in tree(root):
        for line in read(f"/proc/{pid}/smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def reset_peak(pid):
    """Makes VmHWM start again from what is used now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")


def of_pod(uid, name):
    """The process of this name in the pod with this uid, when the pod runs on this machine."""
    marks = (uid, uid.replace("-", "_"))
    for pid in pids():
        is_it = read(f"/proc/{pid}/comm").strip() == name[:15]
        if is_it and any(mark in read(f"/proc/{pid}/cgroup") for mark in marks):
            return pid
    return None


def user_seconds():
    """Time that all processes of the machine spent in their own code."""
    fields = read("/proc/stat").split("\n", 1)[0].split()
    return (int(fields[1]) + int(fields[2])) / TICK


def busy_share(seconds=2.0):
    """The share of the machine that is in use while nothing is measured."""
    before, began = user_seconds(), time.monotonic()
    time.sleep(seconds)
    return (user_seconds() - before) / (time.monotonic() - began) / os.cpu_count()


def wait_until_quiet(patience):
    """Waits until others use less than 8 % of the machine, or patience ends; says what it came to."""
    end = time.monotonic() + patience
    share = busy_share()
    while share > 0.08 and time.monotonic() < end:
        share = busy_share(5.0)
    say(f"others use {share:.0%} of the processors; load average {os.getloadavg()[0]:.2f}")
    return share
