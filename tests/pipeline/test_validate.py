import json
import sys

import pyarrow as pa
import pytest

from filters.audio.loudness import Loudness
from manifests.catalog import Catalog
from manifests.errors import KlearError
from manifests.schema import ID, stage_schema
from pipeline import cli, console, stages
from pipeline.config import ValidationSettings
from pipeline.jobs import validate

NAME = "audio.loudness"


def run_of(folder, lufs):
    """A run with the table of one real stage: clips of a source each."""
    catalog = Catalog(folder)
    row = {"bucket": 0, "recipe": "r", "status": "ok", "attempts": 1}
    ids = [number.to_bytes(16, "big") for number in range(len(lufs))]
    rows = [row | {"clip_id": key, "source_id": key, "lufs": value} for key, value in zip(ids, lufs)]
    table = catalog.table(NAME, "r" * 32, stage_schema(Loudness.COLUMNS))
    catalog.set_current(table).publish("all", rows)
    return catalog


@pytest.fixture
def quiet(tmp_path):
    """4000 clips from -39 to -30 LUFS."""
    return run_of(tmp_path / "quiet", [-30 - number % 10 for number in range(4000)])


def klear(monkeypatch, capsys, *arguments):
    """(exit code, stdout, stderr) of a command."""
    monkeypatch.setattr(sys, "argv", ["klear", *map(str, arguments)])
    code = 0
    try:
        cli.main()
    except SystemExit as stopped:
        code = stopped.code
    finally:
        sys.stdout, console._stdout = console._stdout or sys.stdout, None
    said = capsys.readouterr()
    return code or 0, said.out, said.err


def test_ranges_come_from_the_stage(tmp_path, monkeypatch):
    catalog = run_of(tmp_path, [-20.0, 25.0])
    with pytest.raises(KlearError, match=r"audio.loudness.lufs is from -200 to 20: not so in 1 of 2") as caught:
        validate.check(catalog, [NAME])
    assert caught.value.code == "validate:failed" and f"clip_id = {1:032x}, lufs = 25.0" in caught.value.message
    monkeypatch.setattr(Loudness, "RANGES", {"lufs": (-200, 30)})
    assert validate.check(catalog, [NAME])[NAME] > 15


def test_every_stage_declares_columns_that_it_has():
    for name in stages.known():
        stage, declared = stages.kind(name), stages.declared(name)
        assert {*declared.ranges, *declared.words} <= set(stage.COLUMNS), name


def test_a_table_of_a_stage_that_is_gone_is_checked_by_its_units(tmp_path):
    catalog = Catalog(tmp_path)
    table = catalog.table("no.such_stage", "r" * 32, pa.schema([("clip_id", ID), ("some_ratio", pa.float64())]))
    catalog.set_current(table).publish("all", [{"clip_id": b"c" * 16, "some_ratio": 1.5}])
    with pytest.raises(KlearError, match="some_ratio is from 0 to 1"):
        validate.check(catalog, ["no.such_stage"])


def test_validate_prints_the_tables_and_builds_the_docs(quiet, monkeypatch, capsys):
    code, out, said = klear(monkeypatch, capsys, "validate", "--out", quiet.out)
    assert code == 0 and out == "" and NAME in said and "4000" in said
    assert (quiet.out / "report" / "data_docs" / "index.html").is_file() and "data_docs/index.html" in "".join(
        said.split()
    )


def test_a_violation_ends_with_code_1_and_the_rows(tmp_path, monkeypatch, capsys):
    catalog = run_of(tmp_path / "bad", [-20.0, -300.0])
    code, out, _ = klear(monkeypatch, capsys, "validate", "--out", catalog.out, "--json")
    told = json.loads(out)
    assert code == 1 and told["tables"][NAME]["unmet"] == [
        {
            "column": "lufs",
            "expected": "is from -200 to 20",
            "rows": 1,
            "examples": [{"clip_id": f"{1:032x}", "lufs": -300.0}],
        }
    ]
    assert (catalog.out / "report" / "data_docs" / "index.html").is_file(), "they show what is wrong"
    code, _, said = klear(monkeypatch, capsys, "validate", "--out", catalog.out)
    assert code == 1 and f"clip_id = {1:032x}, lufs = -300.0" in " ".join(said.split())


@pytest.fixture
def loud(tmp_path):
    """4000 clips from -24 to -15 LUFS."""
    return run_of(tmp_path / "loud", [-15 - number % 10 for number in range(4000)])


def test_drift_warns_or_fails_as_the_settings_say(tmp_path, quiet, loud, monkeypatch, capsys):
    base = tmp_path / "base.json"
    assert klear(monkeypatch, capsys, "validate", "--out", quiet.out, "--save-baseline", base)[0] == 0
    for held in (base, quiet.out):
        code, out, _ = klear(monkeypatch, capsys, "validate", "--out", loud.out, "--baseline", held, "--json")
        told = json.loads(out)
        assert code == 0 and told["failed"] == [] and told["baseline"] == str(held)
        assert told["drift"][NAME]["psi"]["lufs"] > 1
    fail = ("--baseline", base, "--set", "validation.drift=fail")
    code, out, _ = klear(monkeypatch, capsys, "validate", "--out", loud.out, "--json", *fail)
    assert code == 1 and "lufs has a population stability index" in json.loads(out)["failed"][0]


def test_jobs_end_with_drift_where_a_baseline_is_set(quiet, loud, capsys):
    warn = ValidationSettings(baseline=str(quiet.out))
    assert validate.check(loud, [NAME], warn)[NAME] > 15
    assert "drift audio.loudness.lufs" in capsys.readouterr().err
    with pytest.raises(KlearError, match="population stability index"):
        validate.check(loud, [NAME], warn.model_copy(update={"drift": "fail"}))
