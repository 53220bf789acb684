"""In which order to measure: cheap stages that reject much first, in tiers; and what that saves.

A stage's rank is the share of clips that its gates reject over its cost. Tiers are cuts of the ranked order: each tier
renders its views once more, so a cut pays only where what it spares later is dearer. Survivors are counted on clips
that every stage has measured, so gates that reject the same clips are not counted twice.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, pairwise

from filters.calibration import stay
from filters.capability import CLASS_COLUMNS, CLASSES
from filters.gates import SCORE, SPEECH, Gate, Policy, leaves
from filters.patterns import FAILS, Patterns

MOST_TIERS = 4


@dataclass(frozen=True)
class Cost:
    """Seconds of a worker a clip. stages: of each stage. render: of making the views of a tier."""

    stages: Mapping[str, float]
    render: float


def reads(gate: Gate, policy: Policy) -> set[str]:
    """Stages without which a gate cannot be decided as it will be in the end: of its measures, of the class that it is
    for, of the score."""
    names = {str(leaf.measure) for held in (gate, gate.given) if held for leaf in leaves(held)}
    if SCORE in names:
        names = (names - {SCORE}) | {term.measure for term in policy.score}
    if gate.classes != CLASSES:
        names.add(CLASS_COLUMNS[0])
        if len(set(SPEECH) & set(gate.classes)) == 1:  # one of the two: how many speak decides
            names.add(CLASS_COLUMNS[1])
    return {name.rpartition(".")[0] for name in names}


def rejects(counted: Patterns, stage: str) -> float:
    """The share of clips that fail a gate which reads this stage's columns (not only their class), in [0, 1]."""
    own = [i for i, gate in enumerate(counted.policy.gates) if stage in _measures(gate)]
    return counted.total((counted.answers[:, own] == FAILS).any(axis=1)) / max(1, int(counted.clips.sum()))


def _measures(gate: Gate) -> set[str]:
    return {str(leaf.measure).rpartition(".")[0] for leaf in leaves(gate)}


def survive(counted: Patterns, done: Collection[str]) -> float:
    """The share of clips that are still in when these stages have measured: gates that lack one do not reject."""
    fails = counted.answers == FAILS
    undecided = [i for i, gate in enumerate(counted.policy.gates) if not reads(gate, counted.policy) <= set(done)]
    fails[:, undecided] = False
    return counted.total(stay(counted.policy, fails)) / max(1, int(counted.clips.sum()))


def expected(counted: Patterns, tiers: Sequence[Sequence[str]], cost: Cost) -> float:
    """Seconds a clip of these tiers, each run on what the ones before let through."""
    total, left, done = 0.0, 1.0, set[str]()
    for tier in tiers:
        total += left * (cost.render + sum(cost.stages[name] for name in tier))
        done |= set(tier)
        left = survive(counted, done)
    return total


FIRST = (CLASS_COLUMNS[0].rpartition(".")[0], "audio.loudness")
"""Stages that precede all others, whatever they reject: what gates of audio are chosen and read by."""


def ranked(counted: Patterns, cost: Cost, needs: Mapping[str, Collection[str]]) -> list[str]:
    """The stages by rank, best first, none before what it needs, after those of `FIRST`. Stages that reject nothing
    come last, cheap first."""
    rank = {name: rejects(counted, name) / max(seconds, 1e-9) for name, seconds in cost.stages.items()}
    order: list[str] = []
    wanted = sorted(cost.stages, key=lambda name: (name not in FIRST, -rank[name], cost.stages[name], name))
    while wanted:
        order.append(_first_needed(wanted[0], needs, order, cost.stages))
        wanted.remove(order[-1])
    return order


def _first_needed(name: str, needs: Mapping[str, Collection[str]], order: Sequence[str], known: Collection[str]) -> str:
    """The stage itself, or the first of what it needs that has not run."""
    for other in sorted(needs[name]):
        if other in known and other not in order:
            return _first_needed(other, needs, order, known)
    return name


def best_tiers(counted: Patterns, order: Sequence[str], cost: Cost) -> list[list[str]]:
    """The cuts of an order, into at most four tiers, that cost least."""
    left = [1.0, *(survive(counted, order[:n]) for n in range(1, len(order) + 1))]
    spent = [0.0, *accumulate(cost.stages[name] for name in order)]

    def seconds(edges: Sequence[int]) -> float:
        return sum(left[a] * (cost.render + spent[b] - spent[a]) for a, b in pairwise(edges))

    start = max((n for n, name in enumerate(order, 1) if name in FIRST), default=1)  # the first tier has all of FIRST
    counts = range(min(MOST_TIERS, len(order)))
    tried = ((0, *cuts, len(order)) for count in counts for cuts in combinations(range(start, len(order)), count))
    best = min(tried, key=lambda edges: (round(seconds(edges), 9), len(edges)))
    return [list(order[a:b]) for a, b in pairwise(best)]
