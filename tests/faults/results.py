"""What the fault tests found, a line of JSON a test in `results/`: for the fault table, and to resume the long form."""

import functools
import hashlib
import json
import os
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).parent / "results" / "results.jsonl"
ROOMS = ("manifests", "media", "filters", "captioners", "pipeline", "tests/faults")
FULL = os.environ.get("KLEAR_FAULTS") == "full"
"""The long form: everything, in hours if need be; tests that passed with this very code are not run again."""


@functools.cache
def code():
    """Digest of all code that the tests touch: a result holds for it alone."""
    found = hashlib.blake2b(digest_size=8)
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*")):
            if path.suffix in {".py", ".yaml"}:
                found.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return found.hexdigest()


def write(test, outcome, seconds, about, tallies):
    """Add the result of one test. tallies: of `tally`, or none."""
    entry = {"code": code(), "form": "full" if FULL else "short", "test": test, "outcome": outcome, "about": about}
    entry |= {"seconds": round(seconds, 1), "when": time.strftime("%Y-%m-%d %H:%M"), "tallies": tallies}
    FILE.parent.mkdir(exist_ok=True)
    with FILE.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def read():
    """All results, oldest first."""
    return [json.loads(line) for line in FILE.read_text().splitlines()] if FILE.exists() else []


def passed():
    """Names of the tests that passed in the long form with this code."""
    last = {entry["test"]: entry for entry in read() if entry["form"] == "full" and entry["code"] == code()}
    return {name for name, entry in last.items() if entry["outcome"] == "passed"}
