"""Runs a command with all that it starts, and says what it cost: wall seconds, CPU-seconds, peak memory of a process.

CPU-seconds are exact: this process adopts every orphan (PR_SET_CHILD_SUBREAPER) and waits for each, so whatever the
command started, daemons included, is in its children's rusage.
"""

import ctypes
import os
import resource
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_S = 0.25
RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass
class Cost:
    """wall_s, cpu_s: of the command and all that it started. peak_mb: resident memory by role, each role's largest."""

    wall_s: float
    cpu_s: float
    peak_mb: dict[str, float] = field(default_factory=dict)


def measure(argv: Sequence[str], env: Mapping[str, str] | None = None, roles: Mapping[str, str] | None = None) -> Cost:
    """Run to the end; raises CalledProcessError. roles: name -> a piece of the command line of its processes."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    before, started = _children_cpu(), time.monotonic()
    peaks = dict.fromkeys(roles or {}, 0.0)
    over = threading.Event()
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        process = subprocess.Popen(argv, env={**os.environ, **(env or {})}, stdout=nowhere, stderr=subprocess.PIPE)
        watch = threading.Thread(target=_watch, args=(roles or {}, peaks, over))
        watch.start()
        _, errors = process.communicate()
        wall = time.monotonic() - started
        over.set()
        watch.join()
    _adopt()
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}: {errors[-2000:].decode()}")
    return Cost(wall, _children_cpu() - before, peaks)


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _adopt() -> None:
    """Wait for every orphan, at most a minute: daemons of a finished run end by themselves."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            time.sleep(0.05)


def _watch(roles: Mapping[str, str], peaks: dict[str, float], over: threading.Event) -> None:
    while roles and not over.wait(_LOOK_S):
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                _look(entry, roles, peaks)


def _look(entry: Path, roles: Mapping[str, str], peaks: dict[str, float]) -> None:
    try:
        line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        role = next((name for name, piece in roles.items() if piece in line), None)
        if role:
            pages = int((entry / "statm").read_text().split()[1])
            peaks[role] = max(peaks[role], pages * os.sysconf("SC_PAGE_SIZE") / 2**20)
    except (OSError, IndexError, ValueError):
        return  # it just ended


def slope(small: Cost, large: Cost, clips: int) -> tuple[Cost, Cost]:
    """(cost of one more clip, cost of starting) from two runs whose sizes differ by `clips`."""
    each = Cost((large.wall_s - small.wall_s) / clips, (large.cpu_s - small.cpu_s) / clips)
    return each, small


def record(title: str, text: str, on: bool) -> None:
    """Print; with `on`, append to bench/RESULTS.md with today's date."""
    print(text)
    if on:
        with RESULTS.open("a") as file:
            file.write(f"\n## {date.today()}: {title}\n\n{text}\n")
