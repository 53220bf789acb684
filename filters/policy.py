"""A policy as SQL, over a DuckDB relation with a row a clip and columns `clip_id`, `<stage>.<column>`.

Columns that the relation lacks count as NULL: not measured. `filters/verdicts.py` makes verdicts of it.
"""

from collections.abc import Collection
from dataclasses import dataclass

import duckdb

from filters.capability import AUDIO_TASKS, CLASSES, VIDEO_TASKS, column, final_class, quote, text
from filters.gates import SCORE, Condition, Gate, Policy, load_policy

__all__ = ["Bound", "Policy", "bounds_of", "columns_of", "judge", "kept_sql", "load_policy", "score_sql"]


def columns_of(con: duckdb.DuckDBPyConnection, relation: str) -> list[str]:
    """Names of the columns of a table or view."""
    return con.sql(f"SELECT * FROM {quote(relation)} LIMIT 0").columns


def judge(policy: Policy, available: Collection[str], relation: str) -> str:
    """Relation plus `audio_class` and, for gate i, `applies<i>` and `g<i>`: TRUE passes, FALSE fails, NULL unknown."""
    known = {*available, SCORE}
    applies = [_applies(gate, known) for gate in policy.gates]
    gates = [
        f"{on} AS applies{i}, CASE WHEN {on} THEN {_passes(gate, known)} WHEN NOT ({on}) THEN TRUE END AS g{i}"
        for i, (gate, on) in enumerate(zip(policy.gates, applies))
    ]
    told = f"{final_class(available)} AS audio_class, {score_sql(policy, available)} AS {quote(SCORE)}"
    classed = f"SELECT *, {told} FROM {quote(relation)}"
    return f"SELECT *, {', '.join(gates)} FROM ({classed})"


def score_sql(policy: Policy, available: Collection[str]) -> str:
    """SQL of the soft score: the weighted mean of the terms that are measured, NULL when none is."""
    if not policy.score:
        return "CAST(NULL AS DOUBLE)"
    values = [(term, _number(term.measure, available)) for term in policy.score]
    risen = [
        f"{term.weight!r} * least(1.0, greatest(0.0, ({value} - {term.low!r}) / {term.high - term.low!r}))"
        for term, value in values
    ]
    total = " + ".join(f"coalesce({sql}, 0.0)" for sql in risen)
    weight = " + ".join(f"CASE WHEN {value} IS NULL THEN 0.0 ELSE {term.weight!r} END" for term, value in values)
    return f"CASE WHEN {weight} > 0 THEN ({total}) / ({weight}) END"


def _applies(gate: Gate, available: Collection[str]) -> str:
    """Whether the gate is for the clip: unknown while the class is, unless it is for every class."""
    given = f"({_passes(gate.given, available)} IS NOT FALSE)" if gate.given else "TRUE"
    if gate.classes == CLASSES:
        return given
    return f"(audio_class IN ({', '.join(map(text, gate.classes))}) AND {given})"


def _passes(condition: Condition, available: Collection[str]) -> str:
    """Three-valued SQL of a condition."""
    if condition.members:
        joiner = " OR " if condition.any_of else " AND "
        return "(" + joiner.join(_passes(member, available) for member in condition.members) + ")"
    value = _value(condition, available)
    bounds = [f"{value} >= {condition.min!r}"] if condition.min is not None else []
    bounds += [f"{value} <= {condition.max!r}"] if condition.max is not None else []
    return "(" + " AND ".join(bounds) + ")"


def _value(bound: Condition, available: Collection[str]) -> str:
    return _number(str(bound.measure), available)


def _number(measure: str, available: Collection[str]) -> str:
    raw = column(measure, available, "DOUBLE")
    return f"CASE WHEN NOT isnan({raw}) THEN {raw} END"


@dataclass(frozen=True)
class Bound:
    """A bound on a measure, as SQL. failed: whether it, and every group around it up to its gate, is false. value: the
    measure, NULL when it was not measured."""

    gate: Gate
    condition: Condition
    failed: str
    value: str


def bounds_of(policy: Policy, available: Collection[str]) -> list[Bound]:
    """Every bound of the policy, gates in order: over the rows of `judge`."""
    known = {*available, SCORE}
    return [bound for i, gate in enumerate(policy.gates) for bound in _bounds(gate, gate, f"g{i} IS FALSE", known)]


def _bounds(gate: Gate, condition: Condition, failed: str, available: Collection[str]) -> list[Bound]:
    if condition.members:
        return [
            bound
            for member in condition.members
            for bound in _bounds(gate, member, f"{failed} AND {_passes(member, available)} IS FALSE", available)
        ]
    return [Bound(gate, condition, failed, _value(condition, available))]


def kept_sql(policy: Policy, first: int = 0) -> str:
    """SQL, over the rows of `judge`: whether a task is left, where the policy's gates begin with number `first`."""
    return " OR ".join(f"({_allowed(policy, task, first)})" for task in policy.tasks)


def _allowed(policy: Policy, task: str, first: int) -> str:
    ends = {"clip": True, "audio": task in AUDIO_TASKS, "video": task in VIDEO_TASKS}
    binding = [f"g{first + i} IS NOT FALSE" for i, gate in enumerate(policy.gates) if ends[gate.scope]]
    return " AND ".join(binding) or "TRUE"
