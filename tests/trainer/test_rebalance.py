"""The re-balancing rule."""

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from manifests.errors import ConfigError
from trainer.rebalance import rebalance
from trainer.settings import RebalanceSettings

NAMES = [f"class{i}/T2AV" for i in range(6)]
SETTINGS = RebalanceSettings()
weights = st.fixed_dictionaries({name: st.floats(0.05, 1.0) for name in NAMES})
scores = st.dictionaries(st.sampled_from(NAMES), st.floats(0.01, 1.5))


@given(weights, scores)
def test_weights_sum_to_one_inside_the_trust_region_and_above_the_floor(old, measured):
    changes = rebalance(old, measured, SETTINGS)
    assert sum(c.new for c in changes) == pytest.approx(1)
    for c in changes:
        assert 1 / SETTINGS.trust - 1e-6 <= c.ratio <= SETTINGS.trust + 1e-6
        assert c.new >= min(SETTINGS.floor, c.old) - 1e-6
        assert c.why


@given(scores)
def test_from_equal_weights_the_worse_never_gets_less(measured):
    assume(len(measured) >= 2 and min(measured.values()) < 0.9)
    changes = {c.capability: c for c in rebalance(dict.fromkeys(NAMES, 1.0), measured, SETTINGS)}
    ranked = sorted(measured, key=measured.get)
    assert all(changes[a].new <= changes[b].new + 1e-9 for a, b in pairwise(ranked))
    assert changes[ranked[0]].deficit == 0


def test_equal_scores_leave_equal_weights():
    changes = rebalance(dict.fromkeys(NAMES, 2.0), dict.fromkeys(NAMES, 0.4), SETTINGS)
    assert all(c.new == pytest.approx(1 / 6) for c in changes)


def test_one_that_lags_gains_and_says_why():
    changes = {
        c.capability: c for c in rebalance({"a/T2V": 1, "b/T2V": 1, "c/T2V": 1}, {"a/T2V": 0.3, "b/T2V": 0.9}, SETTINGS)
    }
    assert changes["b/T2V"].ratio > 1 > changes["a/T2V"].ratio
    assert "missing" in changes["b/T2V"].why and "best" in changes["a/T2V"].why
    assert "not measured" in changes["c/T2V"].why


def test_a_weight_of_zero_stays_zero_and_no_weight_is_an_error():
    assert [c.capability for c in rebalance({"a/T2V": 1.0, "b/T2V": 0.0}, {}, SETTINGS)] == ["a/T2V"]
    with pytest.raises(ConfigError, match="no capability"):
        rebalance({}, {}, SETTINGS)
