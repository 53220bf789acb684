"""The engine with a worker that can be told to die, raise or work: what it commits, whom it blames, when it stops."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import KlearError
from manifests.ids import digest
from manifests.schema import STATUS
from manifests.table import Table
from pipeline.engine import lease, pool
from pipeline.engine.event import Clock
from pipeline.engine.hand import Hand, NotReady
from pipeline.engine.job import Job, Limits
from pipeline.engine.plan import Plan
from pipeline.engine.wanted import Listed
from pipeline.engine.worker import Planned

SCHEMA = pa.schema([pa.field("key", pa.binary(16), False), *STATUS])


@dataclass
class Worker(Planned):
    """Ends its process at `poison` in the way of `ending`; raises at `broken`; notes every key it did."""

    notes: Path
    poison: bytes | None = None
    ending: str = "segfault"
    broken: bytes | None = None

    def each(self, part, keys):
        for key in keys:
            if key == self.poison:
                ENDINGS[self.ending](self.notes)
            if key == self.broken:
                raise OSError("no space left on device")
            with (self.notes / key.hex()).open("a") as file:
                file.write("done\n")
            yield {"t": [{"key": key, "status": "ok", "attempts": 1}]}

    def blame(self, part, key, error, attempts):
        bad = {"status": "quarantined", "error_stage": "work", "error_code": error.code, "error_message": error.message}
        return {"t": [{"key": key, "attempts": attempts, **bad}]}


def hog(notes):
    held = []
    while True:
        held.append(bytearray(50 << 20))
        time.sleep(0.02)


def twice_killed(notes):
    """Killed from outside the first two times, as by the kernel out of memory; healthy after that."""
    count = len(list(notes.glob("killed-*")))
    if count < 2:
        (notes / f"killed-{count}").touch()
        os.kill(os.getpid(), signal.SIGKILL)


ENDINGS = {
    "segfault": lambda notes: signal.raise_signal(signal.SIGSEGV),  # in this thread, at once, as a real one is
    "exit": lambda notes: os._exit(3),
    "hang": lambda notes: time.sleep(1000),
    "hog": hog,
    "killed": lambda notes: os.kill(os.getpid(), signal.SIGKILL),
    "twice_killed": twice_killed,
}


@dataclass
class Unready(Worker):
    """Its first `bad` processes end when they take it from the pipe, before any key."""

    bad: int = 99
    way: str = "raises"

    def __setstate__(self, state):
        self.__dict__.update(state)
        if Path(sys.argv[0]).name == "serve.py":
            starts = len(list(self.notes.glob("start-*")))
            (self.notes / f"start-{starts}").touch()
            if starts < self.bad:
                WAYS[self.way]()


@dataclass
class Loud(Worker):
    """Says something before it is ready, and after."""

    def __setstate__(self, state):
        self.__dict__.update(state)
        print("taken from the pipe", file=sys.stderr)

    def each(self, part, keys):
        print("at work", file=sys.stderr)
        yield from super().each(part, keys)


def raises():
    raise OSError(28, "No space left on device")


WAYS = {"raises": raises, "exit": lambda: os._exit(3), "killed": lambda: os.kill(os.getpid(), signal.SIGKILL)}
KEYS = [digest(n) for n in range(9)]


def make_job(tmp_path, limits=None, kind=Worker, **options):
    notes = tmp_path / "notes"
    notes.mkdir(exist_ok=True)
    table = Table(tmp_path / "tables", "t", "r" * 32, SCHEMA)
    plan = Plan(tmp_path / "plan")
    job = Job("test", (table,), kind(plan, notes, **options), tmp_path / "leases", workers=2, limits=limits or Limits())
    return job, table, plan.extend(Listed(dict.fromkeys(KEYS, 0)), 3)


def times_done(tmp_path):
    return [(tmp_path / "notes" / key.hex()).read_text().count("done") for key in KEYS]


def test_every_part_is_committed_once(tmp_path, ray_session):
    job, table, parts = make_job(tmp_path)
    events = []
    pool.run(job, parts, events.append)
    assert sorted(row["key"] for row in table.read().to_pylist()) == sorted(KEYS)
    assert sorted(event["part"] for event in events) == sorted(p.name for p in parts)
    assert {event["attempt"] for event in events} == {1} and sum(event["rows"] for event in events) == 9
    again = []
    pool.run(job, parts, again.append)
    assert again == []  # nothing is pending: nothing is done again
    assert times_done(tmp_path) == [1] * 9


@pytest.mark.parametrize(
    ("ending", "code"),
    [
        ("segfault", "crash:SIGSEGV"),
        ("exit", "crash:exit_3"),
        ("hang", "crash:timeout"),
        ("hog", "crash:memory"),
        ("killed", "crash:SIGKILL"),
    ],
)
def test_only_the_key_that_ends_its_process_is_blamed(tmp_path, ending, code):
    job, table, parts = make_job(tmp_path, Limits(key_timeout_s=2, max_rss_gib=0.5), poison=KEYS[4], ending=ending)
    clock = Clock()
    for part in parts:
        hand = Hand(job.worker, job.limits)
        pool.do_part(job, part, hand, clock)
        hand.stop()
    rows = {row["key"]: row for row in table.read().to_pylist()}
    assert {key for key, row in rows.items() if row["status"] == "quarantined"} == {KEYS[4]}
    assert rows[KEYS[4]]["error_code"] == code
    assert sorted(rows) == sorted(KEYS)
    assert set(clock.deaths) == {code} and len(clock.deaths) == 1 + rows[KEYS[4]]["attempts"]


def test_what_was_done_before_a_death_is_kept(tmp_path, ray_session):
    job, _, parts = make_job(tmp_path, poison=KEYS[4])
    pool.run(job, parts)
    done = [key for key in KEYS if key != KEYS[4]]
    assert all((tmp_path / "notes" / key.hex()).read_text() == "done\n" for key in done)


def test_a_healthy_key_outlives_a_machine_in_trouble(tmp_path):
    job, table, parts = make_job(tmp_path, poison=KEYS[4], ending="twice_killed")
    for part in parts:
        pool.do_part(job, part, Hand(job.worker, job.limits), Clock())
    assert {row["status"] for row in table.read().to_pylist()} == {"ok"}


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_ends_before_it_is_ready_blames_no_key(tmp_path, way):
    job, table, parts = make_job(tmp_path, kind=Unready, bad=2, way=way)
    clock, hand = Clock(), Hand(job.worker, job.limits)
    for part in parts:
        pool.do_part(job, part, hand, clock)
    hand.stop()
    assert {row["status"] for row in table.read().to_pylist()} == {"ok"} and times_done(tmp_path) == [1] * 9
    assert clock.deaths == [{"raises": "crash:exit_1", "exit": "crash:exit_3", "killed": "crash:SIGKILL"}[way]] * 2


def test_a_suspect_is_not_blamed_for_processes_that_are_never_ready(tmp_path):
    """The first process dies of a key; those that should try it alone cannot even start."""
    job, table, parts = make_job(tmp_path, Limits(attempts=2), poison=KEYS[4])
    for part in parts:
        hand = Hand(job.worker, job.limits)
        part_job = (
            replace(job, worker=Unready(job.worker.plan, job.worker.notes)) if KEYS[4] in job.worker.keys(part) else job
        )
        if part_job is job:
            pool.do_part(job, part, hand, Clock())
        else:
            with pytest.raises(NotReady):
                pool.do_part(part_job, part, hand, Clock())
        hand.stop()
    assert {row["status"] for row in table.read().to_pylist()} == {"ok"} and len(job.pending(parts)) == 1


def test_no_process_at_all_stops_the_job(tmp_path, ray_session):
    job, _, parts = make_job(tmp_path, kind=Unready)
    events = []
    with pytest.raises(KlearError, match="No space left on device") as caught:
        pool.run(job, parts, events.append)
    assert caught.value.code == "engine:hand" and "No key is to blame but" in caught.value.message
    assert job.pending(parts) == parts
    assert events[-1]["deaths"] == ["crash:exit_1"] * 3 and events[-1]["rows"] == 0


def test_a_machine_that_cannot_fork_stops_the_job(tmp_path, monkeypatch):
    def popen(*arguments, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    job, _, parts = make_job(tmp_path)
    monkeypatch.setattr(subprocess, "Popen", popen)
    clock = Clock()
    with pytest.raises(NotReady, match="Resource temporarily unavailable"):
        pool.do_part(job, parts[0], Hand(job.worker, job.limits), clock)
    assert clock.deaths == ["crash:start"] * 3 and job.pending(parts) == parts


def test_what_a_hand_says_arrives(tmp_path, capfd):
    job, _, parts = make_job(tmp_path, kind=Loud)
    hand = Hand(job.worker, job.limits)
    pool.do_part(job, parts[0], hand, Clock())
    hand.stop()
    said = capfd.readouterr().err
    assert said.index("taken from the pipe") < said.index("at work")


def test_quarantined_keys_are_done_again_when_asked(tmp_path):
    job, table, parts = make_job(tmp_path, poison=KEYS[4])
    for part in parts:
        pool.do_part(job, part, Hand(job.worker, job.limits), Clock())
    healed = replace(job, worker=Worker(job.worker.plan, job.worker.notes), redo=frozenset({"crash:SIGSEGV"}))
    for part in parts:
        pool.do_part(healed, part, Hand(healed.worker, job.limits), Clock())
    assert {row["status"] for row in table.read().to_pylist()} == {"ok"}
    assert times_done(tmp_path) == [1] * 9  # the others were left alone
    assert len(table.read()) == 9 and len([name for name in table.state() if "~1" in name]) == 1


def test_an_error_of_the_machine_stops_the_job_in_its_own_words(tmp_path, ray_session):
    job, _, parts = make_job(tmp_path, broken=KEYS[0])
    with pytest.raises(KlearError, match="no space left on device"):
        pool.run(job, parts)


def test_leases_count_attempts(tmp_path):
    assert [lease.take(tmp_path, "p"), lease.take(tmp_path, "p"), lease.attempts(tmp_path, "p")] == [1, 2, 2]
    assert lease.attempts(tmp_path, "other") == 0
