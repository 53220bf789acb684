import json

import numpy as np
import pyarrow as pa
import pytest

from manifests.catalog import Catalog
from manifests.errors import ConfigError
from manifests.expectations import baseline, compare, profile
from manifests.expectations.drift import Thresholds, between, psi
from manifests.expectations.profile import Counts, Profile
from manifests.schema import KEY

SCHEMA = pa.schema(
    [*KEY, pa.field("level", pa.float64()), pa.field("kind", pa.string()), pa.field("words", pa.string())]
)


def catalog_of(folder, level, kind=None, clips_per_source=1, missing=0.0):
    """A catalog with the table `a.stage`, of these values; a share of its levels is NULL."""
    n = len(level)
    catalog = Catalog(folder)
    table = catalog.set_current(catalog.table("a.stage", "r" * 32, SCHEMA))
    ids = [number.to_bytes(16, "big") for number in range(n)]
    gone = np.arange(n) < missing * n
    columns = {
        "clip_id": pa.array(ids, pa.binary(16)),
        "source_id": pa.array([ids[number // clips_per_source] for number in range(n)], pa.binary(16)),
        "bucket": pa.array(np.zeros(n, np.int32)),
        "recipe": pa.array(["r"] * n),
        "status": pa.array(["ok"] * n),
        "error_stage": pa.nulls(n, pa.string()),
        "error_code": pa.nulls(n, pa.string()),
        "error_message": pa.nulls(n, pa.string()),
        "attempts": pa.array(np.ones(n, np.int32)),
        "level": pa.array(level, mask=gone),
        "kind": pa.array(kind if kind is not None else ["a"] * n),
        "words": pa.array([f"a text of its own, number {number}" for number in range(n)]),
    }
    table.publish_table("all", pa.table(columns, schema=SCHEMA))
    return catalog


def moved(before, now, **thresholds):
    """{(column, statistic): its drift}"""
    held = baseline.of(before, ["a.stage"])
    (one,) = compare.tables(now, ["a.stage"], held, Thresholds(**thresholds), "warning")
    return {(d.column, d.statistic): d for d in one.drifts}, one


def normal(seed, mean=0.0, count=5000):
    return np.random.default_rng(seed).normal(mean, 1, count)


def test_the_index_is_that_of_its_formula():
    """0.1 -> 0.2 and 0.9 -> 0.8 of a million: sum of (q - p) ln(q / p)."""
    value, bins = psi({"0": 100_000, "1": 900_000}, {"0": 200_000, "1": 800_000})
    assert bins == 2 and value == pytest.approx(0.1 * np.log(2) - 0.1 * np.log(8 / 9), abs=1e-5)


def test_a_shifted_column_drifts_and_the_same_does_not(tmp_path):
    before = catalog_of(tmp_path / "before", normal(0))
    same, _ = moved(before, catalog_of(tmp_path / "same", normal(1)))
    assert same["level", "psi"].value < 0.02 and not any(drift.drifted for drift in same.values())
    shifted, one = moved(before, catalog_of(tmp_path / "shifted", normal(1, mean=1.0)))
    found = shifted["level", "psi"]
    # of normals one deviation apart the index is 1 in the limit of many bins (the divergences of both ways, 1/2 + 1/2)
    assert found.drifted and 0.8 < found.value < 1.02 and found.limit == 0.25
    assert [drift.column for drift in one.drifted] == ["level"] and not one.result.success
    assert "a.stage.level has a population stability index of at most 0.25: it is 0." in one.lines()[0]


def test_a_threshold_can_be_set(tmp_path):
    before = catalog_of(tmp_path / "before", normal(0))
    slight = catalog_of(tmp_path / "now", normal(1, mean=0.4))
    assert 0.1 < moved(before, slight)[0]["level", "psi"].value < 0.25
    assert moved(before, slight, psi=0.1)[0]["level", "psi"].drifted


def test_words_and_nulls_drift_by_their_shares(tmp_path):
    level, many = normal(0), ["speech"] * 4000 + ["music"] * 1000
    before = catalog_of(tmp_path / "before", level, many)
    fewer = ["speech"] * 3000 + ["music"] * 1000 + ["whistling"] * 1000
    found, _ = moved(before, catalog_of(tmp_path / "now", level, fewer, missing=0.3))
    assert found["kind", "share"].drifted and found["kind", "share"].value == pytest.approx(0.2)
    assert found["level", "nulls"].drifted and found["level", "nulls"].value == pytest.approx(0.3)
    assert found["level", "nulls"].told == "NULL: 0.0% before, 30.0% now"
    assert ("words", "share") not in found, "texts are no categories"


def test_a_word_that_the_baseline_did_not_have_is_counted(tmp_path):
    before = catalog_of(tmp_path / "before", normal(0), ["speech"] * 5000)
    found, _ = moved(before, catalog_of(tmp_path / "now", normal(0), ["song"] * 2500 + ["speech"] * 2500))
    assert found["kind", "share"].drifted and found["kind", "share"].told.startswith("(other): 0.0% before, 50.0% now")


def test_a_constant_that_changed_drifts_whichever_way(tmp_path):
    before = catalog_of(tmp_path / "before", np.full(5000, 25.0))
    for name, value in (("less", 24.0), ("more", 26.0)):
        found, _ = moved(before, catalog_of(tmp_path / name, np.full(5000, value)))
        assert found["level", "psi"].drifted, name


def test_chance_alone_seldom_drifts():
    """Samples of one distribution, 40 to 1000 rows: the threshold is exceeded about once in a thousand."""
    rng, alarms, tries = np.random.default_rng(0), 0, 2000
    for _ in range(tries):
        n, m = rng.integers(40, 1000, 2)
        sample = rng.exponential(size=n)
        edges = np.quantile(sample, np.linspace(0, 1, 11)[1:-1])
        held = [Counts(edges.tolist(), _binned(values, edges)) for values in (sample, rng.exponential(size=m))]
        old, new = (Profile(int(rows), 0, {"x": counts}) for rows, counts in zip((n, m), held))
        alarms += sum(drift.drifted for drift in between(old, new, (0, 0), Thresholds(psi=1e-6)))
    assert alarms <= 10


def _binned(values, edges):
    counts = np.bincount(np.searchsorted(edges, values, "left"), minlength=len(edges) + 1)
    return {str(i): int(count) for i, count in enumerate(counts)}


def test_clips_of_one_source_count_as_one(tmp_path):
    """50 sources of 100 clips with a level each: their tenths differ widely, by chance."""
    rng = np.random.default_rng(3)
    one, two = (np.repeat(rng.normal(size=50), 100) + rng.normal(0, 0.01, 5000) for _ in range(2))
    before = catalog_of(tmp_path / "before", one, clips_per_source=100)
    found, _ = moved(before, catalog_of(tmp_path / "now", two, clips_per_source=100))
    assert found["level", "psi"].value > 0.25 and not found["level", "psi"].drifted
    before = catalog_of(tmp_path / "before1", one)
    assert moved(before, catalog_of(tmp_path / "now1", two))[0]["level", "psi"].drifted


def test_counts_are_of_all_rows_some_buckets_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("manifests.query.GROUP", 1)
    monkeypatch.setattr(profile, "SAMPLE", 100)
    catalog = Catalog(tmp_path)
    table = catalog.set_current(
        catalog.table("a.stage", "r" * 32, pa.schema([KEY[0], pa.field("level", pa.float64())]))
    )
    for bucket in range(3):
        ids = [bytes([bucket]) + number.to_bytes(15, "big") for number in range(1000)]
        rows = [{"clip_id": key, "level": float(number)} for number, key in enumerate(ids)]
        table.publish(f"b{bucket:04x}-x", rows)
    found = profile.of(catalog, table)
    assert found.rows == 3000 and sum(found.columns["level"].counts.values()) == 3000
    assert len(found.columns["level"].counts) == 10


def test_a_saved_baseline_is_what_it_was(tmp_path):
    before = catalog_of(tmp_path / "before", normal(0), missing=0.1)
    held = baseline.of(before, before.names())
    baseline.save(str(tmp_path / "base.json"), held)
    assert baseline.read(str(tmp_path / "base.json"), []) == held
    assert baseline.read(str(tmp_path / "before"), ["a.stage"]) == held
    assert held["a.stage"].columns["level"].nulls == 500


def test_what_is_no_baseline_is_said(tmp_path):
    for text in ("[]", '{"version": 9}', '{"version": 1, "tables": {"a": 1}}', "{"):
        (tmp_path / "odd.json").write_text(text)
        with pytest.raises(ConfigError, match="not a saved baseline"):
            baseline.read(str(tmp_path / "odd.json"), [])
    with pytest.raises(ConfigError, match="--save-baseline"):
        baseline.read(str(tmp_path / "none.json"), [])
    with pytest.raises(ConfigError, match="holds no tables"):
        baseline.read(str(tmp_path), [])
    with pytest.raises(ConfigError, match="as a .json"):
        baseline.save(str(tmp_path / "folder"), {})
    assert json.loads((tmp_path / "odd.json").read_text() + "}") == {}
