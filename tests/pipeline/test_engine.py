"""The engine with a worker that can be told to die, raise or work: what it commits, whom it blames, when it stops."""

import signal
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest

from manifests.errors import KlearError
from manifests.ids import digest
from manifests.schema import STATUS
from manifests.table import Table
from pipeline.engine import lease, pool
from pipeline.engine.job import Job
from pipeline.engine.plan import Plan

SCHEMA = pa.schema([pa.field("key", pa.binary(16), False), *STATUS])


@dataclass
class Worker:
    """Kills its process at `poison`; raises at `broken`; notes every key it did."""

    notes: Path
    poison: bytes | None = None
    broken: bytes | None = None

    def rows(self, part):
        for key in part.keys:
            if key == self.poison:
                signal.raise_signal(signal.SIGSEGV)  # in this thread, at once, as a real one is
            if key == self.broken:
                raise OSError("no space left on device")
            with (self.notes / key.hex()).open("a") as file:
                file.write("done\n")
        return {"t": [{"key": key, "status": "ok", "attempts": 1} for key in part.keys]}

    def blame(self, part, error, attempts):
        bad = {"status": "quarantined", "error_stage": "work", "error_code": error.code, "error_message": error.message}
        return {"t": [{"key": key, "attempts": attempts, **bad} for key in part.keys]}


KEYS = [digest(n) for n in range(9)]


def make_job(tmp_path, **options):
    notes = tmp_path / "notes"
    notes.mkdir(exist_ok=True)
    table = Table(tmp_path / "tables", "t", "r" * 32, SCHEMA)
    job = Job("test", (table,), Worker(notes, **options), tmp_path / "leases", workers=2, attempts=2)
    return job, table, Plan(tmp_path / "plan").extend(dict.fromkeys(KEYS, 0), 3)


def test_every_part_is_committed_once(tmp_path, ray_session):
    job, table, parts = make_job(tmp_path)
    seen = []
    events = pool.run(job, parts, seen.append)
    assert sorted(row["key"] for row in table.read().to_pylist()) == sorted(KEYS)
    assert sorted(p.name for p in seen) == sorted(p.name for p in parts)
    assert {event["attempt"] for event in events} == {1} and sum(event["rows"] for event in events) == 9
    assert pool.run(job, parts) == []  # nothing is pending: nothing is done again
    assert all((tmp_path / "notes" / key.hex()).read_text() == "done\n" for key in KEYS)


def test_only_the_key_that_kills_its_process_is_blamed(tmp_path, ray_session):
    job, table, parts = make_job(tmp_path, poison=KEYS[4])
    pool.run(job, parts)
    rows = {row["key"]: row for row in table.read().to_pylist()}
    assert {key for key, row in rows.items() if row["status"] == "quarantined"} == {KEYS[4]}
    assert rows[KEYS[4]]["error_code"] == "crash:SIGSEGV" and rows[KEYS[4]]["attempts"] == 2
    assert sorted(rows) == sorted(KEYS)


def test_an_error_of_the_machine_stops_the_job_in_its_own_words(tmp_path, ray_session):
    job, _, parts = make_job(tmp_path, broken=KEYS[0])
    with pytest.raises(KlearError, match="no space left on device"):
        pool.run(job, parts)


def test_leases_count_attempts(tmp_path):
    assert [lease.take(tmp_path, "p"), lease.take(tmp_path, "p"), lease.attempts(tmp_path, "p")] == [1, 2, 2]
    assert lease.attempts(tmp_path, "other") == 0
