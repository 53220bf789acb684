"""Whole jobs in one process, without Ray, so that hundreds of deaths are cheap. Run by the fixture `lone`.

Everything is imported once; each line of JSON on stdin is a run in a forked child, which may be told to die:
    out, preset, jobs, sources, sets  as on the command line; jobs in order
    died    file of the points at which runs died already, or null: this one dies at its first publish not in there,
            once before and once after (see `Reaper`), and adds it. share: of all points that are died at, in [0, 1]
    kill_s  null, or after how many seconds the child is killed
    hands   "here": keys are done in the child itself; "real": in hands, as in an actor
    shift_s the clock of the child runs ahead so far
    env     variables of the child
    guard   null, or {"of": text, "timeout_s": s, "max_rss": bytes}: tighter limits for children whose argv has the text
The answer is a line of JSON: done (results of finished jobs, in order), died_at, signal, error.
"""

import hashlib
import json
import os
import re
import select
import signal
import sys
import time
import traceback
import types
from dataclasses import replace
from pathlib import Path

from manifests.errors import KlearError
from media.child import Child
from pipeline import stages, work
from pipeline.config import load
from pipeline.context import Context
from pipeline.engine import blame, pool
from pipeline.engine.event import Clock
from pipeline.engine.hand import Hand
from pipeline.jobs import annotate, decide, filter, ingest, shard

JOBS = {"filter": filter.run, "annotate": annotate.run, "decide": decide.run, "shard": shard.run}


class Here:
    """A hand that is no process of its own."""

    def __init__(self, worker, limits):
        self._worker = worker

    def each(self, part, keys):
        """The rows of each key."""
        return self._worker.each(part, keys)

    def stop(self):
        """Nothing to stop."""


class Reaper:
    """Dies at the first publish at which no run died before."""

    def __init__(self, path, out, share, tell):
        self._path, self._out, self._share, self._tell = Path(path), out, share, tell
        self._died = set(self._path.read_text().split("\n")) if self._path.exists() else set()

    def watch(self):
        """Wrap the two system calls that publish."""
        os.link, os.replace = self._around(os.link), self._around(os.replace)

    def _around(self, real):
        def wrapped(source, target, **options):
            if not str(target).startswith(self._out):  # a file of this machine's own, no publish
                return real(source, target, **options)
            self._meet(f"before {point_of(target, self._out)}")
            real(source, target, **options)
            return self._meet(f"after {point_of(target, self._out)}")

        return wrapped

    def _meet(self, point):
        drawn = int.from_bytes(hashlib.blake2b(point.encode(), digest_size=4).digest(), "big") / 2**32
        if drawn < self._share and point not in self._died:
            with self._path.open("a") as file:
                file.write(f"{point}\n")
            self._tell({"died_at": point})
            os.kill(os.getpid(), signal.SIGKILL)


def point_of(target, out):
    """The name of a publish: its place below `out`, without what counts attempts and nanoseconds."""
    return re.sub(r"/\d{4}\.json$|-\d{16,}\.parquet$", "", os.path.relpath(target, out))


def work_alone(hands):
    """Put a loop in the place of the actor pool. hands: "here" or "real"."""
    made = Here if hands == "here" else Hand

    def run(job, parts, on_event=lambda event: None):
        left = parts if job.redo is not None else job.pending(parts)
        hand = made(job.worker, job.limits)
        try:
            for part in left:
                on_event(pool.do_part(job, part, hand, Clock()))
        finally:
            hand.stop()

    work.pool.run, work.session.start, work.session.room = run, lambda *a, **k: None, lambda *a, **k: 1
    blame.Hand = made
    if hands == "here":  # what a hand asks of its parent, the actor, is asked of itself
        own = types.SimpleNamespace(**{name: getattr(os, name) for name in dir(os)})
        own.getppid = os.getpid
        for name, module in list(sys.modules.items()):
            if name.startswith("pipeline.jobs.") and getattr(module, "os", None) is os:
                module.os = own


def shift_clock(seconds):
    """Let this process live `seconds` later."""
    now, now_ns = time.time, time.time_ns
    time.time, time.time_ns = lambda: now() + seconds, lambda: now_ns() + int(seconds * 1e9)


def tighten(of, **limits):
    """Give guarded children whose arguments hold the text `of` tighter limits, so that no test waits for minutes."""
    real = Child.__init__

    def made(self, argv, given, **options):
        real(self, argv, replace(given, **limits) if of in " ".join(argv) else given, **options)

    Child.__init__ = made


def child(ask, tell):
    """One run, in the forked child."""
    os.environ.update(ask.get("env") or {})
    if ask.get("guard"):
        tighten(**ask["guard"])
    work_alone(ask.get("hands", "here"))
    if ask.get("shift_s"):
        shift_clock(ask["shift_s"])
    if ask.get("died"):
        Reaper(ask["died"], ask["out"], ask.get("share", 1.0), tell).watch()
    context = Context(Path(ask["out"]), load(ask["preset"], ask.get("sets") or []))
    for name in ask["jobs"]:
        result = ingest.run(context, ask["sources"]) if name == "ingest" else JOBS[name](context)
        tell({"done": [name, result]})


def run(ask):
    """Fork, wait, and gather what the child told."""
    mine, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(mine)
        os.setsid()
        tell = lambda entry: os.write(its, json.dumps(entry, default=str).encode() + b"\n")  # noqa: E731
        try:
            child(ask, tell)
        except KlearError as error:
            tell({"error": [error.code, error.message]})
        except BaseException:
            tell({"error": ["traceback", traceback.format_exc()]})
        os._exit(0)
    os.close(its)
    told = _heard(mine, pid, ask.get("kill_s"))
    status = os.waitpid(pid, 0)[1]
    answer = {
        "done": [],
        "died_at": None,
        "error": None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
    }
    for entry in map(json.loads, told.splitlines()):
        for name, value in entry.items():
            answer[name] = [*answer["done"], value] if name == "done" else value
    return answer


def _heard(pipe, pid, kill_s):
    told = b""
    end = None if kill_s is None else time.monotonic() + kill_s
    while True:
        ready, _, _ = select.select([pipe], [], [], None if end is None else max(0.0, end - time.monotonic()))
        if not ready:
            os.killpg(pid, signal.SIGKILL)
            end = None
        elif data := os.read(pipe, 1 << 16):
            told += data
        else:
            os.close(pipe)
            return told


def main():
    """Import everything, then serve."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what jobs print is no answer
    for name in stages.known():
        stages.kind(name)
    for line in sys.stdin:
        answers.write(json.dumps(run(json.loads(line)), default=str) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
