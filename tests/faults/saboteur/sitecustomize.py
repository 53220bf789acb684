"""Sabotage from inside: every Python process of a run under test imports this first, because PYTHONPATH leads here.

A test leaves orders in the folder KLEAR_ORDERS, each a file `<name>.order` of JSON:
    role    "driver", "actor" or "any": which process may carry it out
    target  regular expression: a publish of a file whose path it matches
    when    "before": the file is written beside its place and synced, not yet linked; or "after"
    do      "kill": SIGKILL to itself; "wait": stay there until `<name>.go` exists (the test kills what it likes)
Whoever carries an order out takes it away first, and says so in `<name>.taken` (its process id). KLEAR_POISON
("<ending> <clip id>") makes the stages of that clip misbehave in a hand, KLEAR_BAD_PROBE ("<ending> <file name>") the
probe's child. No product code knows of any of this: what is wrapped are the system calls that publish.
"""

import contextlib
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

ORDERS = os.environ.get("KLEAR_ORDERS")
_link, _replace = os.link, os.replace


def role():
    """What this process is."""
    return "actor" if sys.argv[0].endswith("default_worker.py") else "driver"


def carry_out(target, when):
    """Look for an order that this publish fits, and do as it says."""
    for path in sorted(Path(ORDERS).glob("*.order")):
        with contextlib.suppress(FileNotFoundError, ValueError):
            order = json.loads(path.read_text())
            if order["role"] in {"any", role()} and order["when"] == when and re.search(order["target"], target):
                path.rename(path.with_suffix(".doing"))  # one process gets it
                obey(path, order["do"])


def obey(path, what):
    """Leave the process id, then die or wait."""
    note = path.with_suffix(".tmp")
    note.write_text(str(os.getpid()))
    note.rename(path.with_suffix(".taken"))
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    while not path.with_suffix(".go").exists():
        time.sleep(0.02)


def link(source, target, **options):
    """os.link, watched."""
    carry_out(str(target), "before")
    _link(source, target, **options)
    carry_out(str(target), "after")


def replace(source, target, **options):
    """os.replace, watched."""
    carry_out(str(target), "before")
    _replace(source, target, **options)
    carry_out(str(target), "after")


def misbehave(ending):
    """End this process in one of the ways that native code has."""
    if ending == "segfault":
        signal.raise_signal(signal.SIGSEGV)
    held = []
    while ending == "memory":
        held.append(b"x" * (32 << 20))
        time.sleep(0.01)
    time.sleep(1000)


def poison(ending, clip):
    """Make the stages misbehave at one clip: wraps the clip worker of this hand."""
    from pipeline.jobs.clip_work import ClipWorker

    healthy = ClipWorker._hold

    def one(self, row, *rest):
        if row["clip_id"].hex() == clip:
            misbehave(ending)
        return healthy(self, row, *rest)

    ClipWorker._hold = one


def spoil_probe(ending, name):
    """Make PyAV misbehave when it opens the file of that name: wraps it in the probing child."""
    import av

    healthy = av.open

    def opened(file, *rest, **options):
        if str(file).endswith(name):
            misbehave(ending)
        return healthy(file, *rest, **options)

    av.open = opened


if ORDERS:
    os.link, os.replace = link, replace
if (wanted := os.environ.get("KLEAR_POISON")) and "pipeline.engine.serve" in sys.orig_argv:
    poison(*wanted.split())
if (wanted := os.environ.get("KLEAR_BAD_PROBE")) and "media.probe_child" in sys.orig_argv:
    spoil_probe(*wanted.split())
