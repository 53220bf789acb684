"""A real Ray cluster of several nodes on one machine, with token auth, and a way to kill a node of it."""

import contextlib
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
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RAY = Path(sys.executable).with_name("ray")
TAG = "KLEAR_TEST_NODE"
"""A variable that every process of a node inherits: how they are found again, however they were started."""


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
