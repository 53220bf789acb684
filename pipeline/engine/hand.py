"""A hand: the process that does the keys. It keeps its models while it lives, and may die of any key without harm.

Bad media is decoded in children of its own already (`media/child.py`); a hand guards against what those cannot: native
code of models and libraries that crashes, hangs or eats the memory.
"""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing import Pipe

from manifests.errors import KlearError, MachineError
from pipeline.engine.job import Limits, PartWorker, Rows
from pipeline.engine.plan import Part

_LOOK_S = 0.5
_START_S = 300.0
"""For the imports of a fresh process: no key's fault, so not of its time."""
_SAID, _LINES = 1 << 14, 3
"""Bytes and lines of what a process said last."""
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Died(Exception):
    """The hand ended before its keys did. ending: e.g. `crash:SIGSEGV`, `crash:timeout`, `crash:memory`."""

    def __init__(self, ending: str) -> None:
        super().__init__(ending)
        self.ending = ending


class NotReady(MachineError):
    """The hand ended before it could take a key: no key's fault. ending: as of Died; `crash:start` if it never was."""

    def __init__(self, code: str, message: str, ending: str = "crash:start") -> None:
        super().__init__(code, message)
        self.ending = ending


class Hand:
    """One process that does keys for whoever asks; started when first asked, and again after it died."""

    def __init__(self, worker: PartWorker, limits: Limits) -> None:
        self._worker, self._limits = worker, limits
        self._process: subprocess.Popen[bytes] | None = None

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The rows of each key, in order.

        Raises NotReady `engine:hand` when the process ends before it is ready, Died when it ends before the keys do,
        KlearError as the worker does.
        """
        process = self._started()
        try:
            self._pipe.send((part, list(keys)))
            patient_s = self._limits.key_timeout_s * min(self._limits.keys_at_once, len(keys))
            for _ in keys:
                yield self._next(process, patient_s)
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
        return self._process or self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        worker, said = pickle.dumps(self._worker), -1
        try:
            said = os.memfd_create("klear-hand")  # no file, which a full disk would not take
            process = self._process = self._launch(said)
            self._pipe.send_bytes(worker)
            self._next(process, _START_S)
            return process
        except (OSError, EOFError, Died) as fault:
            ending = fault.ending if isinstance(fault, Died) else self._ending() if self._process else "crash:start"
            last = _last_lines(said) if said >= 0 else ""
            raise NotReady(
                "engine:hand",
                f"a process for keys ended before it was ready, with {ending}: {last or fault}. No key is to blame but "
                "this machine (a broken package, no memory, a full disk): mend it, and run the same command again",
                ending,
            ) from None
        except BaseException:
            self.stop()
            raise
        finally:
            if said >= 0:
                os.close(said)

    def _launch(self, said: int) -> "subprocess.Popen[bytes]":
        """The process; what it says before it is ready goes to `said`, then to where ours goes."""
        self._pipe, there = Pipe()
        stderr = os.dup(2)
        try:
            argv = [sys.executable, "-m", "pipeline.engine.serve", *map(str, (there.fileno(), os.getpid(), stderr))]
            fds = [there.fileno(), stderr]
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=said, pass_fds=fds)
        finally:
            os.close(stderr)
            there.close()

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


def _last_lines(said: int) -> str:
    """What matters of the stderr of a process that ended; all of it goes to ours."""
    text = os.pread(said, _SAID, max(os.fstat(said).st_size - _SAID, 0))
    with contextlib.suppress(OSError):
        os.write(2, text)
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return " / ".join(lines[-_LINES:])


def _rss(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0  # it just ended: the pipe says so too
