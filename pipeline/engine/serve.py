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


def main(descriptor: int, parent: int) -> None:
    """Serve until the other end of the pipe is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)  # it died before prctl could tell us
    with suppress(EOFError, OSError), Connection(descriptor) as pipe:
        worker = pickle.loads(pipe.recv_bytes())  # from our own parent process, never from data
        pipe.send(READY)
        while True:
            _do(worker, pipe, *pipe.recv())


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
    main(int(sys.argv[1]), int(sys.argv[2]))
