"""Verdicts: who stays, and why. SQL judges every bound of each clip; what follows from answers is made once a pattern.

Columns: clip_id; keep bool; rejected_by list<string> (the failed gates of a rejected clip; empty when kept); reasons
list<struct<gate, measure, value, min, max>> (every bound that made a gate fail, also of gates that only took tasks
away); unmeasured list<string> (gates that could not be decided); audio_class string (final); tasks list<string>; score
double (the policy's soft score; NULL without one).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

from filters.capability import quote
from filters.gates import SCORE, Policy
from filters.patterns import FAILS, UNKNOWN, Patterns, answers_of, binding, coded
from filters.policy import Bound, bounds_of, columns_of, judge

_BITS = 60
"""Bounds whose outcomes one BIGINT holds."""
REASON = pa.struct(
    [("gate", pa.string()), ("measure", pa.string())] + [(name, pa.float64()) for name in ("value", "min", "max")]
)


@dataclass(frozen=True)
class Judged:
    """table: a row a clip, in the order of the relation; patterns: how the clips answered, without groups."""

    table: pa.Table
    patterns: Patterns


def apply(policy: Policy, con: duckdb.DuckDBPyConnection, relation: str, also: Sequence[str] = ()) -> Judged:
    """Verdicts of every clip of the table or view `relation` of `con`. also: columns of it that come out as are."""
    available = columns_of(con, relation)
    bounds = bounds_of(policy, available)
    values = {bound.value: f"_v{n}" for n, bound in enumerate(bounds)}
    told = ["clip_id", "audio_class", quote(SCORE), *map(quote, also), *coded(policy), *_failed(bounds)]
    told += [f"{sql} AS {name}" for sql, name in values.items()]
    rows = con.sql(f"SELECT {', '.join(told)} FROM ({judge(policy, available, relation)})").to_arrow_table()
    first, which = _patterns(rows)
    clips = np.bincount(which, minlength=len(first))
    found = Patterns(policy, answers_of(policy, rows.take(pa.array(first))), clips, pa.table({}))
    columns = {
        "clip_id": rows["clip_id"],
        **{name: column.take(pa.array(which)) for name, column in _of_patterns(found).items()},
        "reasons": _reasons(rows, bounds, values),
        "audio_class": rows["audio_class"],
        "score": rows[SCORE],
    }
    return Judged(pa.table({**{name: columns[name] for name in _ORDER}, **{name: rows[name] for name in also}}), found)


_ORDER = ("clip_id", "keep", "rejected_by", "reasons", "unmeasured", "audio_class", "tasks", "score")


def _failed(bounds: Sequence[Bound]) -> list[str]:
    """SQL of the columns `_f0`, `_f1`, ...: which bounds failed, a bit each."""
    words = [bounds[start : start + _BITS] for start in range(0, len(bounds), _BITS)]
    bits = [[f"(CASE WHEN {b.failed} THEN 1 ELSE 0 END::BIGINT << {i})" for i, b in enumerate(held)] for held in words]
    return [" + ".join(held) + f" AS _f{n}" for n, held in enumerate(bits)]


def _patterns(rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """A row of each pattern of answers, and the number of each row's pattern."""
    which = np.zeros(len(rows), np.int64)
    first = np.zeros(min(1, len(rows)), np.int64)
    for name in rows.column_names:
        if name.startswith("_w"):
            _, word = np.unique(rows[name].to_numpy(), return_inverse=True)
            _, first, which = np.unique(which * (int(word.max(initial=0)) + 1) + word, True, True)
    return first, which


def _of_patterns(found: Patterns) -> dict[str, pa.Array]:
    """The columns that follow from the answers alone, an entry a pattern."""
    policy, kept = found.policy, found.kept()
    names = np.array([gate.name for gate in policy.gates], object)
    fails = found.answers == FAILS
    left = np.stack([~fails[:, binding(policy, task)].any(axis=1) for task in policy.tasks], 1)
    return {
        "keep": pa.array(kept),
        "rejected_by": _lists(names, fails & ~kept[:, None]),
        "unmeasured": _lists(names, found.answers == UNKNOWN),
        "tasks": _lists(np.array(policy.tasks, object), left),
    }


def _lists(names: np.ndarray, chosen: np.ndarray) -> pa.Array:
    """Of each row of chosen (n, names) bool, the list of the names that are true."""
    return pa.array([list(names[row]) for row in chosen], pa.list_(pa.string()))


def _reasons(rows: pa.Table, bounds: Sequence[Bound], values: dict[str, str]) -> pa.Array:
    """The bounds that failed, with what was measured, as a list a row."""
    at, measured, which = [np.zeros(0, np.int32)], [np.zeros(0)], [np.zeros(0, np.int32)]
    for n, bound in enumerate(bounds):
        word = rows[f"_f{n // _BITS}"].to_numpy()
        failed = np.flatnonzero((word >> (n % _BITS)) & 1).astype(np.int32)
        at.append(failed)
        measured.append(rows[values[bound.value]].to_numpy()[failed])
        which.append(np.full(len(failed), n, np.int32))
    of_row = np.concatenate(at)
    order = np.argsort(of_row, kind="stable")
    number = pa.array(np.concatenate(which)[order])

    def told(what: Callable[[Bound], object], kind: pa.DataType) -> pa.Array:
        return _array(map(what, bounds), kind).take(number)

    entries = pa.StructArray.from_arrays(
        [
            told(lambda bound: bound.gate.name, pa.string()),
            told(lambda bound: bound.condition.measure, pa.string()),
            pa.array(np.concatenate(measured)[order], pa.float64()),
            told(lambda bound: bound.condition.min, pa.float64()),
            told(lambda bound: bound.condition.max, pa.float64()),
        ],
        fields=list(REASON),
    )
    ends = np.cumsum(np.bincount(of_row, minlength=len(rows)))
    return pa.ListArray.from_arrays(pa.array(np.concatenate([[0], ends]), pa.int32()), entries)


def _array(values: Iterable[object], kind: pa.DataType) -> pa.Array:
    return pa.array(list(values), kind)
