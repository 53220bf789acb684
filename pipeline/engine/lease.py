"""Leases: one file a part and attempt, written before the work, so that a death is counted as an attempt."""

import json
import os
import socket
import time
from pathlib import Path

from manifests.files import publish


def take(folder: Path, part: str) -> int:
    """Record that this process starts on `part`; the attempt's number, from 1."""
    note = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started_s": time.time()}).encode()
    attempt = attempts(folder, part) + 1
    while not publish(folder / part / f"{attempt:04d}.json", lambda file: file.write(note)):
        attempt += 1
    return attempt


def attempts(folder: Path, part: str) -> int:
    """How often work on `part` was started."""
    return len(list((folder / part).glob("*.json"))) if (folder / part).is_dir() else 0
