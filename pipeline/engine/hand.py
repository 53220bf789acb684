"""A hand: the process that does the keys. It keeps its models while it lives, and may die of any key without harm.

Bad media is decoded in children of its own already (`media/child.py`); a hand guards against what those cannot: native
code of models and libraries that crashes, hangs or eats the memory.
"""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe

from manifests.errors import KlearError
from pipeline.engine.job import Limits, PartWorker, Rows
from pipeline.engine.plan import Part

_LOOK_S = 0.5
_START_S = 300.0
"""For the imports of a fresh process: no key's fault, so not of its time."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Died(Exception):
    """The hand ended before its keys did. ending: e.g. `crash:SIGSEGV`, `crash:timeout`, `crash:memory`."""

    def __init__(self, ending: str) -> None:
        super().__init__(ending)
        self.ending = ending


class Hand:
    """One process that does keys for whoever asks; started when first asked, and again after it died."""

    def __init__(self, worker: PartWorker, limits: Limits) -> None:
        self._worker, self._limits = worker, limits
        self._process: subprocess.Popen[bytes] | None = None

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The rows of each key, in order. Raises Died when the process ends first, KlearError as the worker does."""
        try:
            process = self._started()
            self._pipe.send((part, list(keys)))
            for _ in keys:
                yield self._next(process, self._limits.key_timeout_s)
        except (OSError, EOFError):
            raise Died(self._ending()) from None
        except BaseException:  # whoever stops listening half way must not find old rows in the pipe
            self.stop()
            raise

    @property
    def pid(self) -> int | None:
        """Of its process, None when there is none."""
        return self._process.pid if self._process else None

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._pipe, there = Pipe()
            argv = [sys.executable, "-m", "pipeline.engine.serve", str(there.fileno()), str(os.getpid())]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, pass_fds=[there.fileno()])
            there.close()
            self._pipe.send_bytes(pickle.dumps(self._worker))
            self._next(self._process, _START_S)
        return self._process

    def _next(self, process: "subprocess.Popen[bytes]", timeout_s: float) -> Rows:
        deadline = time.monotonic() + timeout_s
        while not self._pipe.poll(_LOOK_S):
            if time.monotonic() > deadline:
                self._kill("crash:timeout")
            if _rss(process.pid) > self._limits.max_rss_gib * 2**30:
                self._kill("crash:memory")
        message = self._pipe.recv()
        if isinstance(message, KlearError):
            raise message
        rows: Rows = message
        return rows

    def _kill(self, ending: str) -> None:
        self.stop()
        raise Died(ending)

    def _ending(self) -> str:
        process = self._process
        if process is None:
            return "crash:unknown"
        try:
            code = process.wait(10)
        except subprocess.TimeoutExpired:  # it closed its pipe and lives on
            code = None
        self.stop()
        return f"crash:{signal.Signals(-code).name}" if code is not None and code < 0 else f"crash:exit_{code}"

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._pipe.close()
            self._process = None


def _rss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0  # it just ended: the pipe says so too
