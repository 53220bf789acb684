"""The process of a hand: takes a worker from the pipe, then keys, and sends back the rows of each. Run by `hand.py`."""

import ctypes
import os
import pickle
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from manifests.errors import KlearError

READY = "ready"
"""The first message: imports are done, and the clock of the first key may start."""
_PR_SET_PDEATHSIG = 1


def main(descriptor: int, parent: int, stderr: int) -> None:
    """Serve until the other end of the pipe is gone. stderr: where it goes once we are ready; a file, until then."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before prctl could tell us
    with Connection(descriptor) as pipe:
        worker = pickle.loads(pipe.recv_bytes())  # from our own parent process, never from data
        _speak_to(stderr)
        with suppress(EOFError, OSError):
            pipe.send(READY)
            while True:
                _do(worker, pipe, *pipe.recv())


def _speak_to(stderr: int) -> None:
    """Have stderr go there, and what was said so far with it."""
    sys.stderr.flush()
    said = os.pread(2, os.fstat(2).st_size, 0)
    os.dup2(stderr, 2)
    os.close(stderr)
    with suppress(OSError):
        os.write(2, said)


def _do(worker: Any, pipe: Connection, part: Any, keys: list[bytes]) -> None:
    try:
        for rows in worker.each(part, keys):
            pipe.send(rows)
    except KlearError as error:
        pipe.send(error)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:  # bad data becomes rows: what is raised here is the machine's fault, not the key's
        pipe.send(KlearError("engine:worker", f"{part.name}: {type(error).__name__}: {error}"))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
