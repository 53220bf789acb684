"""Status, also of a run in the middle: what is done and left of each job, how fast, and what was started."""

import json
import re
import time

import pytest

from pipeline import cli, console, work
from pipeline.config import load
from pipeline.context import Context
from pipeline.engine import lease
from pipeline.jobs import compact, ingest, progress, status
from pipeline.jobs import filter as filter_job


@pytest.fixture
def half(tmp_path, small_sources, small_preset, one_by_one, monkeypatch):
    """An output folder whose cheap tier was stopped after two parts, the third being under way."""
    context = Context(tmp_path / "out", load(str(small_preset), []))
    ingest.run(context, [small_sources])
    done = len(one_by_one)
    begin = work.pool.run

    def stopped(job, pending, on_event):
        begin(job, pending[:2], on_event)
        lease.take(job.leases, pending[2].name)
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.work.pool.run", stopped)
    with pytest.raises(KeyboardInterrupt):
        filter_job.run(context)
    monkeypatch.setattr("pipeline.work.pool.run", begin)
    assert len(one_by_one) == done + 2
    return context


def test_a_job_in_the_middle(half):
    jobs = {job["job"]: job for job in status.of(half.catalog)["jobs"]}
    assert list(jobs) == ["probe", "cut", "measure.cheap"]
    assert jobs["probe"]["rows_left"] == jobs["cut"]["parts_left"] == 0 and jobs["probe"]["rows"] == 9
    cheap = jobs["measure.cheap"]
    assert cheap["rows"] == 10 and 0 < cheap["rows_left"] < 10
    assert cheap["parts_left"] == cheap["parts"] - 2 and cheap["unit"] == "clips"
    assert {stage["stage"] for stage in cheap["stages"]} == {"audio.loudness", "audio.fidelity", "video.technical"}
    assert all(stage["parts_left"] == cheap["parts_left"] for stage in cheap["stages"])
    assert cheap["rows_per_second"] > 0
    assert cheap["eta_s"] == pytest.approx(cheap["rows_left"] / cheap["rows_per_second"], abs=0.1)
    assert cheap["started"] == 1 and cheap["leases"][0]["attempt"] == 1 and 0 <= cheap["leases"][0]["age_s"] < 600
    assert jobs["probe"]["eta_s"] is None


@pytest.mark.parametrize(("begun_s", "counts"), [(4000, True), (7300, False)])
def test_the_window_of_the_rate_is_as_long_as_a_part_takes(half, begun_s, counts):
    events = half.catalog.current("events")
    nothing = {"attempt": 1, "host": "h", "pid": 1, "cpu_seconds": 1.0, "deaths": [], "stages": [], "causes": []}
    nothing |= {"job": "measure.cheap", "part": "p", "rows": 1024}
    for ago, took in ((begun_s, 3600.0), (2000, 5.0)):
        events.publish(f"measure.cheap-{ago}", [{"started_s": time.time() - ago, "seconds": took, **nothing}])
    cheap = next(job for job in status.of(half.catalog)["jobs"] if job["job"] == "measure.cheap")
    done = cheap["rows"] - cheap["rows_left"]
    wanted = (2048 + done) / 3600 if counts else (1024 + done) / 2000
    assert cheap["rows_per_second"] == pytest.approx(wanted, rel=0.02)


def test_it_goes_on_and_ends_with_nothing_left(half):
    filter_job.run(half)
    found = status.of(half.catalog)
    assert all(job["rows_left"] == job["parts_left"] == job["started"] == 0 for job in found["jobs"])
    assert found["clips"]["kept"] == 10 and found["clips"]["pending"] == 0
    compact.run(half.catalog, keep_s=0.0)
    again = status.of(half.catalog)
    compact.run(half.catalog, keep_s=0.0)
    for name in ("sources", "clips", "causes"):
        assert found[name] == again[name] == status.of(half.catalog)[name]
    assert [job["parts_left"] for job in again["jobs"]] == [0] * len(again["jobs"])


def test_deaths_and_lost_attempts(half):
    with work.recording(half.catalog, "measure.cheap") as record:
        base = {"job": "measure.cheap", "host": "h", "pid": 1, "started_s": time.time(), "seconds": 1.0, "rows": 1}
        record({**base, "part": "p", "attempt": 1, "deaths": ["crash:SIGSEGV", "crash:SIGSEGV"]})
        record({**base, "part": "q", "attempt": 3, "deaths": ["crash:timeout"]})
    (cheap,) = [job for job in progress.of(half.catalog) if job["job"] == "measure.cheap"]
    assert cheap["deaths"] == {"crash:SIGSEGV": 2, "crash:timeout": 1} and cheap["lost_attempts"] == 2


def test_the_command_shows_tables_and_json(half, capsys):
    cli.status(half.out)
    shown = " ".join(capsys.readouterr().err.split())
    assert "measure.cheap" in shown and "Started and not committed" in shown
    cli.status(half.out, json=True)
    assert json.loads(capsys.readouterr().out)["jobs"][0]["job"] == "probe"


def test_names_are_whole_on_80_columns(half, capsys, monkeypatch):
    with work.recording(half.catalog, "measure.cheap") as record:
        base = {"job": "measure.cheap", "host": "h", "pid": 1, "started_s": time.time(), "seconds": 1.0, "rows": 1}
        record({**base, "part": "p", "attempt": 3, "deaths": ["crash:SIGSEGV", "crash:timeout"]})
    monkeypatch.setattr(console.err, "_width", 80)
    cli.status(half.out)
    lines = capsys.readouterr().err.splitlines()
    assert max(map(len, lines)) <= 80
    cells = {tuple(cell.strip() for cell in re.split("[│┃]", line)[1:-1]) for line in lines}
    (header,) = [cell for cell in cells if cell[:2] == ("job", "parts")]
    assert header == ("job", "parts", "left", "rows", "left", "rows/s", "ETA, s")
    assert {"measure.cheap", "audio.loudness", "video.technical"} <= {cell[0] for cell in cells if cell}
    assert ("measure.cheap", "1", "2", "crash:SIGSEGV: 1, crash:timeout: 1") in cells


def test_an_empty_folder_has_a_status(tmp_path):
    context = Context(tmp_path, load("local", []))
    found = status.of(context.catalog)
    assert found["jobs"] == [] and found["clips"]["total"] == 0
