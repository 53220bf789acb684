"""Leases: one file a part and attempt, written before the work, so that whatever happens leaves a trace."""

import json
import os
import socket
import time

from manifests import files
from manifests.files import AnyPath, publish


def take(folder: AnyPath, part: str) -> int:
    """Record that this process starts on `part`; the attempt's number, from 1."""
    note = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started_s": time.time()}).encode()
    attempt = attempts(folder, part) + 1
    while not publish(folder / part / f"{attempt:04d}.json", lambda file: file.write(note)):
        attempt += 1
    return attempt


def attempts(folder: AnyPath, part: str) -> int:
    """How often work on `part` was started."""
    return len(files.names(folder / part))
