"""Choose thresholds so that a wanted share of the clips stays, holding the policy's ratios between gates.

A gate with a `ratio` may move, the others stay as they are. One number is sought per audio class: gate i turns away the
worst `strictness x ratio_i` of the class, and strictness is the largest that still keeps the target. Clips of equal
value fall together, so a threshold is always a value that was seen, and the best value never fails.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from filters.gates import Condition, Gate, Policy, leaves
from filters.patterns import FAILS, binding

STEPS = 50
"""Halvings of the interval of strictness: beyond the resolution of any sample."""


@dataclass(frozen=True)
class Sample:
    """Clips of one class. values: measure -> (n,) float64, NaN where NULL. answers: (n, gates), as in `patterns`."""

    values: Mapping[str, np.ndarray]
    answers: np.ndarray


@dataclass(frozen=True)
class Found:
    """strictness: None when the gates that do not move keep less than the target by themselves. kept: share that
    stays. most: share that stays without the moving gates. gates: moved gate -> the gate with its new bounds.
    low, high: the same gates with the bounds at the ends of the 95% interval of the share that each turns away."""

    strictness: float | None
    kept: float
    most: float
    gates: dict[str, Gate]
    low: dict[str, Gate]
    high: dict[str, Gate]


def calibrate(policy: Policy, name: str, sample: Sample, target: float) -> Found:
    """Thresholds of the class `name` that keep at least `target`, in (0, 1], of the sample."""
    moving = [i for i, gate in enumerate(policy.gates) if gate.ratio and name in gate.classes]
    scores = {i: score(policy.gates[i], sample.values) for i in moving}
    falling = {i: np.sort(scores[i])[::-1] for i in moving}
    fixed = sample.answers == FAILS
    fixed[:, moving] = False

    def cutoffs(strictness: float) -> dict[int, float]:
        return {i: cutoff(falling[i], strictness * float(policy.gates[i].ratio or 0)) for i in moving}

    def kept(cuts: Mapping[int, float]) -> float:
        fails = fixed.copy()
        for i, cut in cuts.items():
            fails[:, i] = scores[i] > cut
        return float(stay(policy, fails).mean()) if len(fails) else 1.0

    most = kept({})
    if most < target:
        return Found(None, kept({}), most, {}, {}, {})
    low, high = 0.0, 1 / min((policy.gates[i].ratio or 1 for i in moving), default=1)
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if kept(cutoffs(middle)) >= target else (low, middle)
    cuts = cutoffs(low)
    sets = [cuts, *(_shaken(policy, falling, low, sign) for sign in (-1, 1))]
    moved = [{policy.gates[i].name: _moved(policy.gates[i], sample.values, cut) for i, cut in s.items()} for s in sets]
    return Found(low, kept(cuts), most, *moved)


def stay(policy: Policy, fails: np.ndarray) -> np.ndarray:
    """(n,) bool: whether a task is left to clips that fail these gates. fails: (n, gates) bool."""
    left = np.zeros(len(fails), bool)
    for task in policy.tasks:
        left |= ~fails[:, binding(policy, task)].any(axis=1)
    return left


def badness(bound: Condition, values: np.ndarray) -> np.ndarray:
    """How bad each value is for a bound, in units of the measure (for a bound of two sides: of its half width)."""
    if bound.min is None:
        return values
    if bound.max is None:
        return -values
    return np.abs(values - (bound.min + bound.max) / 2) / _half(bound)


def _half(bound: Condition) -> float:
    return max((float(bound.max or 0) - float(bound.min or 0)) / 2, 1e-12)


def ranks(bad: np.ndarray) -> np.ndarray:
    """(n,): the share of measured clips that are strictly better; -1 where NaN: what is not measured never fails."""
    known = ~np.isnan(bad)
    ordered = np.sort(bad[known])
    found = np.full(len(bad), -1.0)
    if len(ordered):
        found[known] = np.searchsorted(ordered, bad[known], "left") / len(ordered)
    return found


def score(condition: Condition, values: Mapping[str, np.ndarray]) -> np.ndarray:
    """(n,): a clip fails the condition at a cutoff exactly when its score is above: the rank of a bound, the least of
    `any_of`, the greatest of `all_of`."""
    if condition.members:
        scores = [score(member, values) for member in condition.members]
        found: np.ndarray = (np.minimum if condition.any_of else np.maximum).reduce(scores)
        return found
    return ranks(badness(condition, values[str(condition.measure)]))


def cutoff(falling: np.ndarray, share: float) -> float:
    """The score above which at most `share` of the clips lie. falling: all scores, largest first."""
    count = int(share * len(falling))
    return max(0.0, float(falling[count])) if count < len(falling) else 0.0


def _shaken(policy: Policy, falling: Mapping[int, np.ndarray], strictness: float, sign: int) -> dict[int, float]:
    """Cutoffs at an end of the 95% interval of what each gate turns away."""
    found = {}
    for i, scores in falling.items():
        share = min(1.0, strictness * float(policy.gates[i].ratio or 0))
        spread = 1.96 * np.sqrt(share * (1 - share) / max(1, len(scores)))
        found[i] = cutoff(scores, float(np.clip(share + sign * spread, 0, 1)))
    return found


def _moved(gate: Gate, values: Mapping[str, np.ndarray], cut: float) -> Gate:
    """The gate with the bounds that a cutoff means."""
    bounds = {id(leaf): _bounds(leaf, values[str(leaf.measure)], cut) for leaf in leaves(gate)}

    def rebuilt(condition: Condition) -> Condition:
        if not condition.members:
            return condition.model_copy(update=bounds[id(condition)])
        kind = "any_of" if condition.any_of else "all_of"
        return condition.model_copy(update={kind: tuple(map(rebuilt, condition.members))})

    moved = rebuilt(gate)
    assert isinstance(moved, Gate)
    return moved


def _bounds(bound: Condition, values: np.ndarray, cut: float) -> dict[str, float]:
    """The bound's new min and max: the worst value that still passes, rounded to the passing side."""
    bad = badness(bound, values)
    passing = bad[(ranks(bad) <= cut) & ~np.isnan(bad)]
    if not len(passing):
        return {}
    worst = float(passing.max())
    if bound.min is None:
        return {"max": rounded(worst, up=True)}
    if bound.max is None:
        return {"min": rounded(-worst, up=False)}
    centre, half = (bound.min + bound.max) / 2, worst * _half(bound)
    return {"min": rounded(centre - half, up=False), "max": rounded(centre + half, up=True)}


def rounded(value: float, up: bool, digits: int = 4) -> float:
    """Four significant digits, towards larger or smaller values."""
    if value == 0 or not np.isfinite(value):
        return value
    unit = 10.0 ** (np.floor(np.log10(abs(value))) - digits + 1)
    whole = np.ceil(value / unit) if up else np.floor(value / unit)
    return float(f"{whole * unit:.12g}")
