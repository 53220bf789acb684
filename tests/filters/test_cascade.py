"""The order of measuring: rejection over cost, no stage before what it needs, tiers only where they pay."""

import numpy as np
import pyarrow as pa
import pytest

from filters import cascade
from filters.cascade import Cost
from filters.gates import Policy
from filters.patterns import Patterns

GATES = [
    {"name": "a", "measure": "s.cheap.x", "min": 0, "source": "t"},
    {"name": "b", "measure": "s.dear.x", "min": 0, "source": "t"},
    {"name": "c", "measure": "s.same.x", "min": 0, "source": "t"},
    {"name": "d", "classes": ["music"], "measure": "s.music.x", "min": 0, "source": "t"},
]
POLICY = Policy.model_validate({"name": "p", "gates": GATES})
# cheap rejects half; same rejects the same half; dear rejects half of either
ANSWERS = np.array([[0, 0, 0, 1], [0, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]], np.uint8)
COUNTED = Patterns(POLICY, ANSWERS, np.array([25, 25, 25, 25]), pa.table({"audio_class": ["music"] * 4}))
COST = Cost({"s.cheap": 0.1, "s.dear": 10.0, "s.same": 0.2, "s.music": 5.0, "audio.classes": 1.0}, render=0.5)
NEEDS: dict[str, tuple[str, ...]] = {name: () for name in COST.stages} | {"s.cheap": ("audio.classes", "not.here")}


def test_rejects_and_survivors() -> None:
    assert [cascade.rejects(COUNTED, name) for name in ("s.cheap", "s.dear", "s.music")] == [0.5, 0.5, 0.0]
    assert cascade.survive(COUNTED, []) == 1.0
    assert cascade.survive(COUNTED, ["s.cheap"]) == cascade.survive(COUNTED, ["s.cheap", "s.same"]) == 0.5
    assert cascade.survive(COUNTED, ["s.cheap", "s.dear"]) == 0.25


def test_gates_for_a_class_wait_for_the_class() -> None:
    assert cascade.reads(POLICY.gates[3], POLICY) == {"s.music", "audio.classes"}
    single = Policy.model_validate({"name": "p", "gates": [GATES[0] | {"classes": ["single_speech"]}]})
    assert cascade.reads(single.gates[0], single) == {"s.cheap", "audio.classes", "audio.voices"}


def test_order_is_rejection_over_cost_after_what_is_needed() -> None:
    assert cascade.ranked(COUNTED, COST, NEEDS) == ["audio.classes", "s.cheap", "s.same", "s.dear", "s.music"]


def test_expected_cost_counts_only_who_is_left() -> None:
    tiers = [["audio.classes", "s.cheap"], ["s.dear"], ["s.same", "s.music"]]
    assert cascade.expected(COUNTED, tiers, COST) == pytest.approx(1.6 + 0.5 * 10.5 + 0.25 * 5.7)


def test_the_best_tiers_are_the_cheapest_of_all_cuts() -> None:
    order = cascade.ranked(COUNTED, COST, NEEDS)
    best = cascade.best_tiers(COUNTED, order, COST)
    assert best == [["audio.classes", "s.cheap"], ["s.same", "s.dear"], ["s.music"]]
    dear_render = Cost(COST.stages, render=100.0)
    assert cascade.best_tiers(COUNTED, order, dear_render) == [order], (
        "a cut that costs more than it spares is not made"
    )
