"""Diff: which clips another policy would keep or reject, by class and gate, with clips to look at. Runs no model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import duckdb
import numpy as np

from filters import patterns
from filters.capability import quote
from filters.gates import SCORE, Condition, Gate, Policy
from filters.patterns import FAILS, Patterns
from filters.policy import columns_of, judge, kept_sql, score_sql
from manifests.errors import KlearError
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import decide, known
from pipeline.jobs.policy import drawn
from pipeline.jobs.policy.explain import percent

AnyCondition = TypeVar("AnyCondition", bound=Condition)
SHOWN = 4
"""Clips on the page for each class and direction."""
MOVED = {True: "kept", False: "rejected"}
LAST = b"\xff" * 16
SIDES = ("a", "b")
MOVES = {"rejected": "kept before, rejected now", "kept": "rejected before, kept now"}


def run(context: Context, before: str, after: str) -> dict[str, Any]:
    """Compare two policies (names or files) on all clips that can be judged; counts, and `clips`: examples of moves.

    A clip that an early tier turned away was not measured later: where B is laxer in that tier, what it would keep is
    a guess in its favour, and `late` names the measures in question.
    """
    old, new = (decide.named(name) for name in (before, after))
    both = merged(old, new)
    found = drawn.found_stages(context)
    counted: list[Patterns] = []
    examples: list[dict[str, Any]] = []
    for _, con in known.by_group(context, found, decide.reads(old) | decide.reads(new)):
        scored(con, old, new)
        counted.append(patterns.count(both, con, "scored", ("audio_class", "bypass")))
        end = _beyond(examples, counted[-1], old, new)
        examples = _first([*examples, *_examples(con, both, old, new, end)])
    all_counted = patterns.together(counted) if counted else None
    if all_counted is None or not int(all_counted.clips.sum()):
        raise KlearError("policy:nothing", f"no clip of {context.out} can be judged yet: run `klear measure`")
    return {
        "job": "policy diff",
        "before": old.name,
        "after": new.name,
        "late": sorted({*drawn.late(context, old), *drawn.late(context, new)}),
        **_moves(all_counted, old, new),
        "clips": [{**row, "clip_id": row["clip_id"].hex()} for row in examples],
    }


def merged(old: Policy, new: Policy) -> Policy:
    """The gates of both, the old one's first: one pass over the clips answers for both. It decides nothing itself.
    Gates on a policy's score bound that of their own side, a column of `scored`."""
    gates = [
        _of_side(gate, side).model_copy(update={"name": f"{side}_{gate.name}"})
        for side, policy in zip(SIDES, (old, new))
        for gate in policy.gates
    ]
    return Policy(name="both", tasks=old.tasks, gates=tuple(gates))


def _of_side(condition: AnyCondition, side: str) -> AnyCondition:
    if condition.measure == SCORE:
        return condition.model_copy(update={"measure": f"{side}.score"})
    told = {kind: tuple(_of_side(member, side) for member in getattr(condition, kind)) for kind in ("any_of", "all_of")}
    return condition.model_copy(update=told)


def scored(con: duckdb.DuckDBPyConnection, old: Policy, new: Policy) -> None:
    """Make the view `scored`: the clips of `judged` with the score of either policy, `a.score` and `b.score`."""
    available = columns_of(con, "judged")
    told = ", ".join(f"{score_sql(p, available)} AS {quote(f'{side}.score')}" for side, p in zip(SIDES, (old, new)))
    con.execute(f"CREATE OR REPLACE TEMP VIEW scored AS SELECT *, {told} FROM judged")


def _kept(counted: Patterns, policy: Policy, first: int) -> np.ndarray:
    """Whether a policy whose gates begin at column `first` keeps each pattern."""
    answers = counted.answers[:, first : first + len(policy.gates)]
    return Patterns(policy, answers, counted.clips, counted.groups).kept()


def _moves(counted: Patterns, old: Policy, new: Policy) -> dict[str, Any]:
    was, now = _kept(counted, old, 0), _kept(counted, new, len(old.gates))
    classes = np.array([name or "not classed" for name in counted.groups["audio_class"].to_pylist()], object)
    rows = []
    for name in [*sorted(set(classes)), "all"]:
        mask = np.ones(len(was), bool) if name == "all" else classes == name
        rows.append(
            {
                "class": name,
                "judged": counted.total(mask),
                "kept_before": counted.total(mask & was),
                "kept_after": counted.total(mask & now),
                "to_rejected": counted.total(mask & was & ~now),
                "to_kept": counted.total(mask & ~was & now),
            }
        )
    return {
        "classes": rows,
        "rejecting": _by_gate(counted, new.gates, len(old.gates), was & ~now),
        "was_rejecting": _by_gate(counted, old.gates, 0, ~was & now),
    }


def _by_gate(counted: Patterns, gates: Sequence[Gate], first: int, moved: np.ndarray) -> dict[str, int]:
    """Gate -> the moved clips that fail it, most first; gates that none of them fails are left out."""
    found = Counter(
        {gate.name: counted.total(moved & (counted.answers[:, first + i] == FAILS)) for i, gate in enumerate(gates)}
    )
    return {name: clips for name, clips in found.most_common() if clips}


def _beyond(examples: Sequence[Mapping[str, Any]], group: Patterns, old: Policy, new: Policy) -> bytes:
    """The id from which on no clip of the group can be among the first any more of its class and direction: spares most
    of the second look at the clips."""
    was, now = _kept(group, old, 0), _kept(group, new, len(old.gates))
    classes = group.groups["audio_class"].to_pylist()
    moving = {(MOVED[now[i]], classes[i]) for i in np.flatnonzero(was != now)}
    held = {
        move: [bytes(row["clip_id"]) for row in examples if (row["moved"], row["audio_class"]) == move]
        for move in moving
    }
    return max((max(ids) if len(ids) == SHOWN else LAST for ids in held.values()), default=b"")


def _examples(
    con: duckdb.DuckDBPyConnection, both: Policy, old: Policy, new: Policy, end: bytes
) -> list[dict[str, Any]]:
    """Of each class and direction the first moved clips by id, up to `end`: clip_id, bucket, audio_class, moved."""
    judged = judge(both, columns_of(con, "scored"), "scored")
    was, now = kept_sql(old, 0), kept_sql(new, len(old.gates))
    by = "PARTITION BY moved, audio_class ORDER BY clip_id"
    told = con.sql(
        f"SELECT clip_id, bucket, audio_class, CASE WHEN {now} THEN 'kept' ELSE 'rejected' END AS moved "
        f"FROM ({judged}) WHERE clip_id <= ? AND ({was}) <> ({now}) QUALIFY row_number() OVER ({by}) <= {SHOWN}",
        params=[end],
    )
    rows: list[dict[str, Any]] = told.to_arrow_table().to_pylist()
    return rows


def _first(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first by id of each class and direction."""
    taken: Counter[tuple[str, str]] = Counter()
    shown = []
    for row in sorted(rows, key=lambda row: bytes(row["clip_id"])):
        key = (row["moved"], str(row["audio_class"]))
        taken[key] += 1
        shown += [row] if taken[key] <= SHOWN else []
    return sorted(shown, key=lambda row: (row["moved"], str(row["audio_class"]), bytes(row["clip_id"])))


def show(result: Mapping[str, Any]) -> None:
    """Tables for people."""
    keys = ["class", "judged", "kept_before", "kept_after", "to_rejected", "to_kept"]
    header = ["class", "judged", f"kept by {result['before']}", f"kept by {result['after']}", *MOVES.values()]
    body = [
        [
            row[key] if key in ("class", "judged") else f"{row[key]:,} ({percent(row[key] / row['judged'])})"
            for key in keys
        ]
        for row in result["classes"]
        if row["judged"]
    ]
    console.rows(f"{result['before']} -> {result['after']}", header, body)
    for key, title in (("rejecting", "Gates that reject what was kept"), ("was_rejecting", "Gates that let go")):
        if result[key]:
            console.rows(title, ["gate", "clips"], [list(pair) for pair in result[key].items()])
    if result.get("page"):
        console.say(f"{len(result['clips'])} of them to look at: {result['page']}")
