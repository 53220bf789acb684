"""Exclusive: one process at a time, for the few things that change files in place."""

import contextlib
import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from manifests import files
from manifests.errors import ConfigError
from manifests.files import AnyPath


@contextlib.contextmanager
def exclusive(path: AnyPath, what: str) -> Iterator[None]:
    """Hold the lock file `path` while doing `what`. Raises ConfigError `busy:<what>` while another process holds it.

    On a disk the kernel holds the lock and lets go of it however the process ends. In a bucket the lock is an object,
    which a process that was killed leaves behind: then the message says who it was and what to remove.
    """
    with _on_disk(path, what) if isinstance(path, Path) else _in_bucket(path, what):
        yield


@contextlib.contextmanager
def _on_disk(path: Path, what: str) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _busy(path, what, "wait until it has ended") from None
        file.truncate(0)
        file.write(_holder())
        file.flush()
        yield


@contextlib.contextmanager
def _in_bucket(path: AnyPath, what: str) -> Iterator[None]:
    if not files.publish(path, lambda file: file.write(_holder().encode())):
        raise _busy(path, what, f"wait until it has ended; if it was killed, remove {path}")
    try:
        yield
    finally:
        files.remove(path)


def _holder() -> str:
    return json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime("%F %T")})


def _busy(path: AnyPath, what: str, fix: str) -> ConfigError:
    return ConfigError(f"busy:{what}", f"another {what} is running here ({files.read(path).decode()}): {fix}")
