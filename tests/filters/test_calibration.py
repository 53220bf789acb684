"""Calibration keeps what was asked, holds the ratios, and never lets the best value of a measure fail."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from filters.calibration import Sample, calibrate, cutoff, ranks, rounded
from filters.gates import Policy, leaves, load_policy, written
from filters.interval import wilson
from filters.patterns import count

GATES = [
    {"name": "a", "measure": "s.a", "min": 0.5, "ratio": 1, "source": "test"},
    {"name": "b", "measure": "s.b", "max": 0.1, "ratio": 3, "source": "test"},
    {"name": "c", "measure": "s.c", "min": -0.1, "max": 0.3, "ratio": 1, "source": "test"},
    {"name": "d", "any_of": [{"measure": "s.d", "min": 0}, {"measure": "s.e", "max": 1}], "ratio": 2, "source": "test"},
    {"name": "fixed", "measure": "s.f", "max": 0.9, "source": "test"},
]
POLICY = Policy.model_validate({"name": "p", "gates": GATES})


def values(count: int, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    found = {f"s.{name}": rng.normal(size=count) for name in "abcde"} | {"s.f": rng.random(count)}
    found["s.b"] = np.round(np.abs(found["s.b"]), 1)  # ties
    found["s.e"][rng.random(count) < 0.3] = np.nan
    return found


def sample(count: int = 20_000, seed: int = 0) -> Sample:
    held = values(count, seed)
    answers = np.ones((count, len(GATES)), np.uint8)
    answers[held["s.f"] > 0.9, -1] = 0
    return Sample(held, answers)


def share_kept(policy: Policy, held: dict[str, np.ndarray]) -> tuple[float, list[dict]]:
    """What the policy keeps as `decide` applies it."""
    columns = {name: pa.array(column, from_pandas=True) for name, column in held.items()}
    with duckdb.connect() as con:
        con.register("m", pa.table(columns))
        counted = count(policy, con, "m", ())
    return counted.total(counted.kept()) / len(held["s.a"]), counted.yields()


@pytest.mark.parametrize("target", [0.1, 0.27, 0.6])
def test_keeps_the_target_and_holds_the_ratios(target: float) -> None:
    held = sample()
    found = calibrate(POLICY, "music", held, target)
    gates = tuple(found.gates.get(gate.name, gate) for gate in POLICY.gates)
    kept, yields = share_kept(POLICY.model_copy(update={"gates": gates}), dict(held.values))
    assert target <= kept <= target + 0.02, "rounded thresholds keep a little more, never less"
    assert kept == pytest.approx(found.kept, abs=0.01)
    failed = {row["gate"]: row["failed"] / 20_000 for row in yields}
    assert failed["c"] == pytest.approx(failed["a"], abs=0.01)
    assert failed["d"] == pytest.approx(2 * failed["a"], abs=0.01)
    assert failed["b"] <= 3 * failed["a"] + 0.01, "ties fall together: at most the ratio"
    assert failed["fixed"] == pytest.approx(0.1, abs=0.01)


def test_on_clips_that_were_not_looked_at_it_keeps_nearly_the_same() -> None:
    found = calibrate(POLICY, "music", sample(20_000, 0), 0.27)
    gates = tuple(found.gates.get(gate.name, gate) for gate in POLICY.gates)
    kept, _ = share_kept(POLICY.model_copy(update={"gates": gates}), values(20_000, 1))
    assert kept == pytest.approx(0.27, abs=0.02)


def test_the_ends_of_the_intervals_lie_on_both_sides() -> None:
    found = calibrate(POLICY, "music", sample(2_000), 0.27)
    low, now, high = (leaves(gates["a"])[0].min for gates in (found.low, found.gates, found.high))
    assert low < now < high


def test_fixed_gates_that_keep_too_little_leave_all_as_it_is() -> None:
    found = calibrate(POLICY, "music", sample(), 0.95)
    assert found.strictness is None and not found.gates and found.most == pytest.approx(0.9, abs=0.01)


def test_gates_of_other_classes_do_not_move() -> None:
    gates = [GATES[0] | {"classes": "speech"}, GATES[1]]
    held = Sample(sample().values, np.ones((20_000, 2), np.uint8))
    found = calibrate(Policy.model_validate({"name": "p", "gates": gates}), "music", held, 0.5)
    assert set(found.gates) == {"b"}


def test_the_best_value_never_fails() -> None:
    held = {"s.b": np.zeros(100)}
    one = Policy.model_validate({"name": "p", "gates": [GATES[1]]})
    found = calibrate(one, "music", Sample(held, np.ones((100, 1), np.uint8)), 0.27)
    assert found.kept == 1.0 and leaves(found.gates["b"])[0].max == 0


def test_ranks_and_cutoffs() -> None:
    assert ranks(np.array([3.0, 1.0, np.nan, 1.0, 2.0])).tolist() == [0.75, 0.0, -1.0, 0.0, 0.5]
    assert cutoff(np.array([0.75, 0.5, 0.0, 0.0, -1.0]), 0.4) == 0.0
    assert cutoff(np.array([0.75, 0.5, 0.0, 0.0, -1.0]), 0.2) == 0.5
    assert (rounded(0.123456, up=True), rounded(-0.123456, up=True), rounded(0.0, up=True)) == (0.1235, -0.1234, 0.0)


def test_a_written_policy_reads_back(tmp_path) -> None:
    path = tmp_path / "p.yaml"
    for name in ("klear", "mova", "demo", "open"):
        path.write_text(written(load_policy(name)))
        assert load_policy(str(path)) == load_policy(name)


def test_wilson_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    for truth, of in ((0.02, 100), (0.27, 100), (0.9, 50)):
        ends = [wilson(int(hits), of) for hits in rng.binomial(of, truth, 4_000)]
        assert 0.92 <= np.mean([low <= truth <= high for low, high in ends]) <= 0.99
    assert wilson(0, 0) == (0.0, 1.0)
