"""Shared by the fault tests: a run without Ray that can be told to die, the undisturbed run that all others must equal,
a real Ray cluster of several nodes on one machine with a way to kill a node of it, a proxy that cuts connections.

Every test here leaves a line in `results/` (see `results.py`). In the long form (KLEAR_FAULTS=full) tests that passed
with the same code are not run again.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.faults import results
from tests.faults.orders import Orders

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
TAG = "KLEAR_TEST_NODE"
"""A variable that every process of a node inherits: how they are found again, however they were started."""

SABOTEUR = Path(__file__).parent / "saboteur"
JOBS = ("ingest", "filter", "annotate", "decide", "shard")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Resume the long form."""
    known = results.passed() if results.FULL else set()
    for item in items:
        if _name(item) in known:
            item.add_marker(pytest.mark.skip(reason="passed before, with this very code"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Write down what a fault test found."""
    report = yield
    if call.when == "call" and report.outcome != "skipped" and item.get_closest_marker("faults"):
        about = (item.module.__doc__ or "").strip().splitlines()[0]  # type: ignore[attr-defined]
        tallies = [value for name, value in item.user_properties if name == "tally"]
        results.write(_name(item), report.outcome, call.duration, about, tallies)
    return report


def _name(item: pytest.Item) -> str:
    return f"{item.path.name}::{item.name}"


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Callable[..., None]:
    """`tally(fault, injected, differences)`: a row of the fault table; the test fails when anything differs."""

    def add(fault: str, injected: int, found: Any) -> None:
        record_property("tally", {"fault": fault, "injected": injected, **found.counts})
        assert injected and not found, "\n".join(found.what[:20]) or f"nothing was injected: {fault}"

    return add


@pytest.fixture
def orders(tmp_path: Path) -> Iterator[Orders]:
    """Orders for a run of this test, of which nothing is left afterwards."""
    (tmp_path / "orders").mkdir()
    found = Orders(tmp_path / "orders")
    yield found
    found.end_all()


@dataclass
class Lone:
    """Runs whole jobs without Ray, in forked children of one process (`lone.py`)."""

    server: "subprocess.Popen[str]"
    common: dict[str, Any]

    def run(self, out: Path, jobs: Iterable[str], **more: Any) -> dict[str, Any]:
        """The answer of `lone.py` to one run; paths may be given as such."""
        ask = self.common | more | {"out": str(out), "jobs": list(jobs)}
        self.server.stdin.write(json.dumps(ask, default=str) + "\n")  # type: ignore[union-attr]
        self.server.stdin.flush()  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(self.server.stdout.readline())  # type: ignore[union-attr]
        return answer

    def finish(self, out: Path, jobs: Iterable[str], **more: Any) -> dict[str, Any]:
        """`run`, which must end well; its result by job."""
        answer = self.run(out, jobs, **more)
        assert answer["signal"] == 0 and answer["error"] is None, answer
        return dict(answer["done"])


def sabotaged(**more: object) -> dict[str, str]:
    """The environment of a run that the saboteur watches, with variables more."""
    path = os.pathsep.join(filter(None, [str(SABOTEUR), str(ROOT), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **{name: str(value) for name, value in more.items()}}


@pytest.fixture(scope="session")
def lone(small_sources: Path, small_preset: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lone]:
    """Whole jobs without Ray, cheaply."""
    log = tmp_path_factory.mktemp("lone") / "log"
    argv = [sys.executable, str(Path(__file__).with_name("lone.py"))]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with log.open("w") as errors, subprocess.Popen(argv, env=sabotaged(), stderr=errors, **pipes) as server:
        yield Lone(server, {"sources": [str(small_sources)], "preset": str(small_preset)})
        server.kill()


@dataclass
class Undisturbed:
    """A run that nothing happened to. folder: with its output after each job, and `folder/shard` after the last."""

    folder: Path

    def after(self, job: str) -> Path:
        """Its output folder as it was after `job`. To be read only."""
        return self.folder / job

    def before(self, job: str, out: Path) -> Path:
        """Make `out` the output folder of a run that is about to do `job`."""
        if job == JOBS[0]:
            out.mkdir()
        else:
            _copy(self.folder / JOBS[JOBS.index(job) - 1], out)
        return out


@pytest.fixture(scope="session")
def undisturbed(lone: Lone, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """What every disturbed run must equal: the small sources through all jobs, in one process."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for before, job in zip((None, *JOBS), JOBS, strict=False):
        if before:
            _copy(folder / before, folder / job)
        lone.finish(folder / job, [job])
    return Undisturbed(folder)


def _copy(source: Path, target: Path) -> None:
    """A copy of an output folder by hard links: its files are never changed, only replaced."""
    shutil.copytree(source, target, copy_function=os.link)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Node:
    """A raylet with its agents and workers, in a working directory of its own."""

    folder: Path
    tag: str = field(default_factory=lambda: secrets.token_hex(8))

    def start(self, env: dict[str, str], *options: object) -> None:
        """`ray start` with these options. Returns when it is up."""
        (self.folder / "work").mkdir(parents=True)
        argv = [RAY, "start", "--disable-usage-stats", f"--temp-dir={self.folder / 'ray'}", *options]
        argv += ["--object-store-memory=100000000", f"--dashboard-agent-listen-port={free_port()}"]
        env = {**env, TAG: self.tag, "TMPDIR": str(self.folder / "work")}
        done = subprocess.run(
            list(map(str, argv)), cwd=self.folder / "work", env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def pids(self) -> list[int]:
        """All processes of the node."""
        wanted = f"{TAG}={self.tag}".encode()
        return [int(path.name) for path in Path("/proc").glob("[0-9]*") if wanted in _environ(path)]

    def kill(self) -> None:
        """`kill -9` of the raylet first, so that it cannot clean up, then of everything else: power is off."""
        raylets = [
            pid for pid in self.pids() if b"raylet/raylet" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
        ]
        while left := raylets + self.pids():
            for pid in left:
                _kill(pid)
            raylets = []
            time.sleep(0.05)


def _environ(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return []  # it ended, or is a zombie


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@dataclass
class LocalCluster:
    """Nodes on one machine: a head and workers. `env` is what a driver needs; the token is in it, and not on disk."""

    folder: Path
    address: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    dashboard: str = field(default_factory=lambda: f"http://127.0.0.1:{free_port()}")
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
            "PATH": os.pathsep.join([str(RAY.parent), os.environ.get("PATH", "")]),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
            "RAY_worker_niceness": "0",  # not the last in line on a busy machine
            "RAY_health_check_period_ms": "500",  # a dead node is noticed in seconds, not in half a minute
            "RAY_health_check_failure_threshold": "4",
            "RAY_health_check_initial_delay_ms": "1000",
        }

    def add(self, cpus: int = 1, dashboard: bool = False) -> Node:
        """Start one more node; the first is the head."""
        node = Node(self.folder / secrets.token_hex(4))
        port = self.address.rpartition(":")[2]
        place: list[object] = [f"--address={self.address}"]
        if not self.nodes:
            place = ["--head", f"--port={port}", f"--ray-client-server-port={free_port()}"]
            place += [f"--include-dashboard={dashboard}", f"--dashboard-port={self.dashboard.rpartition(':')[2]}"]
        self.nodes.append(node)
        node.start(self.env, *place, "--node-ip-address=127.0.0.1", f"--num-cpus={cpus}")
        return node

    def klear(self, *arguments: object, token: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run `klear` to its end, with the cluster's token or another; give it `--address` yourself."""
        argv = [sys.executable, "-m", "pipeline.cli", *map(str, arguments)]
        env = self.env | ({"RAY_AUTH_TOKEN": token} if token else {})
        return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)

    def stop(self) -> None:
        """Kill all nodes."""
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    """A cluster without nodes: add them as you like."""
    found = LocalCluster(Path(tempfile.mkdtemp(prefix="kr-")))  # short: socket names lie below it
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def three_nodes(cluster: LocalCluster) -> LocalCluster:
    """A head and two workers, one CPU each, token auth on. `nodes[1].kill()` takes a worker away."""
    cluster.add()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: cluster.add(), range(2)))
    return cluster


@dataclass
class Proxy:
    """A TCP proxy in front of `target` (host, port), on one port for ever. It can be killed and started again, and
    cuts connections after so many bytes of answers (`cuts`, one a connection, in the order they are made)."""

    target: tuple[str, int]
    port: int = field(default_factory=free_port)
    cuts: list[int] = field(default_factory=list)
    connections: int = 0
    cut: int = 0
    _listener: socket.socket | None = None
    _open: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> "Proxy":
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()
        return self

    def kill(self) -> None:
        """Stop listening and reset every connection."""
        if self._listener:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for one in self._open:
            _reset(one)
        self._open.clear()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self.target)
            except OSError:
                return
            self.connections += 1
            self._open += [client, server]
            limit = self.cuts.pop(0) if self.cuts else None
            threading.Thread(target=self._pump, args=[client, server, None], daemon=True).start()
            threading.Thread(target=self._pump, args=[server, client, limit], daemon=True).start()

    def _pump(self, here: socket.socket, there: socket.socket, limit: int | None) -> None:
        try:
            while data := here.recv(1 << 14):
                there.sendall(data if limit is None else data[:limit])
                if limit is not None and (limit := limit - len(data)) <= 0:
                    self.cut += 1
                    _reset(here)
                    break
        except OSError:
            pass
        _reset(there)


def _reset(one: socket.socket) -> None:
    """Close a connection without a goodbye."""
    with contextlib.suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RDWR)
        one.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[str, int], Proxy]]:
    """Starts proxies: `make_proxy(host, port)`."""
    made: list[Proxy] = []

    def make(host: str, port: int) -> Proxy:
        made.append(Proxy((host, port)).start())
        return made[-1]

    yield make
    for proxy in made:
        proxy.kill()
