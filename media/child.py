"""A guarded child process: own process group, dies with its parent, limits on time, memory and file size.

Every look at a source happens in such a child, so that a hang, a crash or a memory bomb costs one source, not the
worker. stderr goes to a file that is cut when it grows: several pipes to one process deadlock, one file cannot.
"""

import ctypes
import fcntl
import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from manifests.errors import MediaError

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_POLL_S = 0.05
_STDERR_CAP = 256 * 1024
_TAIL = 2000


@dataclass(frozen=True)
class Limits:
    """What a child may use. timeout_s: wall seconds; max_rss: resident bytes; max_file: bytes of any file it writes."""

    timeout_s: float = 120.0
    max_rss: int = 2 << 30
    max_file: int | None = None


class Child:
    """One guarded process. As a context manager it kills whatever is left of its group on the way out.

    argv: the program and its arguments; no shell is involved. failed: error code of a non-zero exit.
    piped: give its stdout as `self.stdout`, else it goes to /dev/null. keep: descriptors that it inherits.
    """

    def __init__(
        self,
        argv: Sequence[str],
        limits: Limits,
        *,
        failed: str = "media:child_failed",
        piped: bool = False,
        keep: Sequence[int] = (),
    ) -> None:
        self._argv, self._limits, self._failed, self._piped = list(argv), limits, failed, piped
        self._keep = tuple(keep)
        self._breach: MediaError | None = None
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        fcntl.fcntl(self._errors, fcntl.F_SETFL, os.O_APPEND)  # so that cutting the file short really shortens it
        parent = os.getpid()
        self._process = subprocess.Popen(
            self._argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if self._piped else subprocess.DEVNULL,
            stderr=self._errors,
            process_group=0,
            pass_fds=self._keep,
            preexec_fn=lambda: prepare(parent, self._limits.max_file),  # noqa: PLW1509 (two system calls, no locks)
        )
        self._watch = threading.Thread(target=self._guard, daemon=True)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._watch.join()
        self._kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()
        self._errors.close()

    @property
    def stdout(self) -> IO[bytes]:
        """The child's stdout; only when `piped`."""
        assert self._process.stdout is not None, "ask for piped=True"
        return self._process.stdout

    def finish(self) -> str:
        """Wait for the end and return the tail of stderr.

        Raises MediaError: media:timeout, media:memory, media:too_big (a file outgrew its limit), media:crash
        (killed by a signal), or the `failed` code, with the tail of stderr.
        """
        code = self._process.wait()
        if self._breach:
            raise self._breach
        tail = self._tail()
        if code == -signal.SIGXFSZ:
            raise MediaError("media:too_big", f"output outgrew {self._limits.max_file} bytes: {tail}")
        if code < 0:
            raise MediaError("media:crash", f"{self._name()} died of {signal.Signals(-code).name}: {tail}")
        if code:
            raise MediaError(self._failed, f"{self._name()} ended with {code}: {tail or 'and said nothing'}")
        return tail

    def _name(self) -> str:
        return os.path.basename(self._argv[0])  # noqa: PTH119

    def _tail(self) -> str:
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - _TAIL))
        # Addresses differ from run to run; messages end up in tables that must not.
        return re.sub(r" @ 0x[0-9a-f]+", "", self._errors.read().decode("utf-8", "replace")).strip()

    def _guard(self) -> None:
        end = time.monotonic() + self._limits.timeout_s
        pause = 0.001  # short at first: a child of a few milliseconds must meet its limits too
        while not self._over.wait(pause) and self._process.poll() is None:
            pause = min(2 * pause, _POLL_S)
            rss = rss_of(self._process.pid)
            if time.monotonic() > end:
                self._breach = MediaError("media:timeout", f"{self._name()} ran past {self._limits.timeout_s:g} s")
            elif rss > self._limits.max_rss:
                self._breach = MediaError("media:memory", f"{self._name()} used over {self._limits.max_rss >> 20} MiB")
            if self._breach:
                return self._kill()
            if os.fstat(self._errors.fileno()).st_size > _STDERR_CAP:
                os.ftruncate(self._errors.fileno(), 0)
        return None

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)


def run(argv: Sequence[str], limits: Limits, failed: str = "media:child_failed", keep: Sequence[int] = ()) -> str:
    """Run `argv` to its end under `limits`; returns the tail of stderr. Raises MediaError as `Child.finish` does."""
    with Child(argv, limits, failed=failed, keep=keep) as child:
        return child.finish()


def prepare(parent: int, max_file: int | None) -> None:
    """In the child, before exec: die with the parent, dump no core, write no file larger than allowed."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # the parent died before prctl could tell us
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if max_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, max_file))


def rss_of(pid: int) -> int:
    """Resident memory of a process in bytes, 0 when it is gone."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as statm:  # noqa: PTH123
            return int(statm.read().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0  # it just ended
