"""Runs a command with all that it starts, and says what it cost: wall seconds, CPU-seconds, peak memory of a process.

CPU-seconds are the kernel's own count for a control group that the command and all that it starts belong to, daemons
included, whoever waits for them. (rusage is not enough: a parent that ignores SIGCHLD, as Ray's raylet does, drops the
time of its children.) Where no group can be made, it is the count of the whole machine: leave that alone then.
"""

import contextlib
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_LOOK_S = 0.25
RESULTS = Path(__file__).with_name("RESULTS.md")


@dataclass
class Cost:
    """wall_s, cpu_s: of the command and all that it started. peak_mb: resident memory by role, each role's largest."""

    wall_s: float
    cpu_s: float
    peak_mb: dict[str, float] = field(default_factory=dict)


def measure(argv: Sequence[str], env: Mapping[str, str] | None = None, roles: Mapping[str, str] | None = None) -> Cost:
    """Run to the end; raises RuntimeError. roles: name -> a piece of the command line of its processes."""
    peaks = dict.fromkeys(roles or {}, 0.0)
    over = threading.Event()
    with _group() as group, open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        before, started = group.cpu_s(), time.monotonic()
        into = ["sh", "-c", 'echo $$ > "$0"; exec "$@"', str(group.members), *argv]
        process = subprocess.Popen(into, env={**os.environ, **(env or {})}, stdout=nowhere, stderr=subprocess.PIPE)
        watch = threading.Thread(target=_watch, args=(group, roles or {}, peaks, over))
        watch.start()
        _, errors = process.communicate()
        wall = time.monotonic() - started
        over.set()
        watch.join()
        group.wait()
        cost = Cost(wall, group.cpu_s() - before, peaks)
    if process.returncode:
        raise RuntimeError(f"{argv} ended with {process.returncode}: {errors[-2000:].decode()}")
    return cost


@dataclass(frozen=True)
class _Group:
    """A control group, of either version; or none, and then all that runs on this machine."""

    folder: Path | None

    @property
    def members(self) -> Path:
        """Where a process writes its id to belong to the group."""
        return self.folder / "cgroup.procs" if self.folder else Path(os.devnull)

    def cpu_s(self) -> float:
        """CPU-seconds of all members so far, also of those that ended."""
        if self.folder is None:
            user, nice, system = map(int, Path("/proc/stat").read_text().split()[1:4])
            return (user + nice + system) / os.sysconf("SC_CLK_TCK")
        if (usage := self.folder / "cpuacct.usage").exists():
            return int(usage.read_text()) / 1e9
        told = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return int(told["usage_usec"]) / 1e6

    def processes(self) -> list[Path]:
        """The folders in /proc of its members."""
        if self.folder is None:
            return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
        return [Path("/proc") / pid for pid in self.members.read_text().split()]

    def wait(self) -> None:
        """Until the daemons of a finished run have ended, at most a minute."""
        deadline = time.monotonic() + 60
        while self.folder and self.members.read_text() and time.monotonic() < deadline:
            time.sleep(0.05)


@contextlib.contextmanager
def _group() -> Iterator[_Group]:
    for root in (_GROUPS / "cpuacct", _GROUPS):
        folder = root / f"klear-bench-{os.getpid()}"
        if (root / "cgroup.procs").exists() and os.access(root, os.W_OK):
            folder.mkdir(exist_ok=True)
            try:
                yield _Group(folder)
            finally:
                with contextlib.suppress(OSError):  # somebody is still in it
                    folder.rmdir()
            return
    yield _Group(None)


def _watch(group: _Group, roles: Mapping[str, str], peaks: dict[str, float], over: threading.Event) -> None:
    while roles and not over.wait(_LOOK_S):
        for entry in group.processes():
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
