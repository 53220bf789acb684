"""A warm child: a guarded process that answers many questions, one line each, and is started again when it dies.

Starting Python costs more than probing a file does. A question that ends the child, or outgrows its limits, is asked
once more of a fresh one and then blamed; the others never notice.
"""

import atexit
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence

from manifests.errors import MediaError
from media.child import Limits, prepare, rss_of

_POLL_S = 0.05
_MAX_ANSWER = 1 << 20


class Warm:
    """A program (argv) that reads a line and writes one. lives: questions after which it is replaced: programs leak."""

    def __init__(self, argv: Sequence[str], lives: int = 200) -> None:
        self._argv, self._lives = list(argv), lives
        self._process: subprocess.Popen[bytes] | None = None
        self._asked = 0

    def ask(self, line: str, limits: Limits) -> str:
        """The answer to one line. Raises MediaError: media:timeout, media:memory, media:crash."""
        fresh = self._asked == 0
        try:
            return self._ask(line, limits)
        except MediaError as error:
            if error.code not in {"media:crash", "media:memory"} or fresh:
                raise
            return self._ask(line, limits)  # it may have died of, or grown by, what it was asked before

    def _ask(self, line: str, limits: Limits) -> str:
        process = self._running()
        self._asked += 1
        assert process.stdin and process.stdout
        try:
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            return self._answer(process, process.stdout.fileno(), limits)
        except MediaError:
            self.stop()
            raise
        except OSError:
            raise self._crash() from None

    def _answer(self, process: "subprocess.Popen[bytes]", pipe: int, limits: Limits) -> str:
        deadline, found = time.monotonic() + limits.timeout_s, b""
        while not found.endswith(b"\n"):
            if select.select([pipe], [], [], min(_POLL_S, max(0.0, deadline - time.monotonic())))[0]:
                data = os.read(pipe, 1 << 16)
                if not data:
                    raise self._crash()
                found += data
            if len(found) > _MAX_ANSWER:
                raise MediaError("media:too_big", f"the answer outgrew {_MAX_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise MediaError("media:timeout", f"probing ran past {limits.timeout_s:g} s")
            if rss_of(process.pid) > limits.max_rss:
                raise MediaError("media:memory", f"probing used over {limits.max_rss >> 20} MiB")
        return found.decode()

    def _running(self) -> "subprocess.Popen[bytes]":
        if self._process is not None and (self._process.poll() is not None or self._asked >= self._lives):
            self.stop()
        if self._process is None:
            parent = os.getpid()
            self._asked = 0
            self._process = subprocess.Popen(
                self._argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                process_group=0,
                preexec_fn=lambda: prepare(parent, _MAX_ANSWER),  # noqa: PLW1509 (two system calls, no locks)
            )
            atexit.register(self.stop)
        return self._process

    def _crash(self) -> MediaError:
        code = self._process.wait() if self._process else 0
        self.stop()
        how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        return MediaError("media:crash", f"the probe {how}")

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None
            self._asked = 0
        atexit.unregister(self.stop)
