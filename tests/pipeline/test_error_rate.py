"""Too many quarantined rows: the job stops early, fails, and says why; what was done stays done."""

from dataclasses import dataclass

import pyarrow as pa
import pytest

from manifests.errors import KlearError
from manifests.ids import digest
from manifests.schema import STATUS
from manifests.table import Table
from pipeline.config import load
from pipeline.context import Context
from pipeline.engine import pool
from pipeline.engine.job import Job, Limits
from pipeline.engine.plan import Plan
from pipeline.engine.wanted import Listed
from pipeline.engine.worker import Planned
from pipeline.jobs import ingest, status

SCHEMA = pa.schema([pa.field("key", pa.binary(16), False), *STATUS])
BAD = {"status": "quarantined", "error_stage": "work", "error_code": "media:truncated", "error_message": "half"}


@dataclass
class Sour(Planned):
    """Every key is bad."""

    def each(self, part, keys):
        for key in keys:
            yield {"t": [{"key": key, "attempts": 1, **BAD}]}


def test_a_job_of_bad_rows_stops_early(tmp_path, ray_session):
    table = Table(tmp_path / "tables", "t", "r" * 32, SCHEMA)
    parts = Plan(tmp_path / "plan").extend(Listed({digest(n): 0 for n in range(40)}), 1)
    events = []
    limits = Limits(quarantined=3)
    pool.run(Job("sour", (table,), Sour(Plan(tmp_path / "plan")), tmp_path / "l", limits=limits), parts, events.append)
    assert len(events) == 4 and len(table.published()) < 40  # those under way may still end


def test_it_fails_with_its_causes_and_goes_on_when_told_to(tmp_path, small_sources, small_preset, one_by_one):
    folder = tmp_path / "in"
    folder.mkdir()
    whole = (small_sources / "clip0.mp4").read_bytes()
    for number in range(8):
        (folder / f"half{number}.mp4").write_bytes(whole[: len(whole) // 2 + number])
    (folder / "good.mp4").write_bytes(whole)
    context = Context(tmp_path / "out", load(str(small_preset), []))
    with pytest.raises(KlearError, match=r"media:\w+: 8") as failed:
        ingest.run(context, [folder])
    assert failed.value.code == "job:error_rate" and "max_error_rate" in str(failed.value)
    assert status.of(context.catalog)["sources"]["quarantined"] == 8
    worked = {(job, part) for job, part, _ in one_by_one}
    told = ingest.run(Context(tmp_path / "out", load(str(small_preset), ["engine.max_error_rate=1"])), [folder])
    assert (told["ok"], told["quarantined"], told["clips"]) == (1, 8, 2)
    assert not [(job, part) for job, part, _ in one_by_one[len(worked) :] if (job, part) in worked]
