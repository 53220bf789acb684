"""Diff: which clips another policy would keep or reject, by class and gate, with clips to look at. Runs no model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from filters import patterns
from filters.gates import Gate, Policy
from filters.patterns import FAILS, Patterns
from filters.policy import columns_of, judge, kept_sql
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import decide, known
from pipeline.jobs.policy import drawn
from pipeline.jobs.policy.explain import percent

SHOWN = 4
"""Clips on the page for each class and direction."""
MOVES = {"rejected": "kept before, rejected now", "kept": "rejected before, kept now"}


def run(context: Context, before: str, after: str) -> dict[str, Any]:
    """Compare two policies (names or files) on all clips that can be judged; counts, and `clips`: examples of moves.

    A clip that an early tier turned away was not measured later: where B is laxer in that tier, what it would keep is
    a guess in its favour, and `late` names the measures in question.
    """
    old, new = (decide.named(name) for name in (before, after))
    both = merged(old, new)
    found = drawn.found_stages(context)
    counted, examples = [], []
    for _, con in known.by_group(context, found, decide.reads(both)):
        counted.append(patterns.count(both, con, "judged", ("audio_class", "bypass")))
        examples.append(_examples(con, both, old, new))
    all_counted = patterns.together(counted)
    return {
        "job": "policy diff",
        "before": old.name,
        "after": new.name,
        "late": sorted({*drawn.late(context, old), *drawn.late(context, new)}),
        **_moves(all_counted, old, new),
        "clips": _first(examples),
    }


def merged(old: Policy, new: Policy) -> Policy:
    """The gates of both, the old one's first: one pass over the clips answers for both. It decides nothing itself."""
    sides = (("a", old), ("b", new))
    gates = [gate.model_copy(update={"name": f"{side}_{gate.name}"}) for side, p in sides for gate in p.gates]
    return Policy(name="both", gates=tuple(gates), score=(*old.score, *new.score))


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


def _examples(con: duckdb.DuckDBPyConnection, both: Policy, old: Policy, new: Policy) -> pa.Table:
    """Of each class and direction the first moved clips by id: clip_id, audio_class, moved ('kept', 'rejected')."""
    judged = judge(both, columns_of(con, "judged"), "judged")
    was, now = kept_sql(old, 0), kept_sql(new, len(old.gates))
    by = "PARTITION BY moved, audio_class ORDER BY clip_id"
    return con.sql(
        f"SELECT clip_id, bucket, audio_class, CASE WHEN {now} THEN 'kept' ELSE 'rejected' END AS moved "
        f"FROM ({judged}) WHERE ({was}) <> ({now}) QUALIFY row_number() OVER ({by}) <= {SHOWN}"
    ).to_arrow_table()


def _first(examples: Sequence[pa.Table]) -> list[dict[str, Any]]:
    """The first of each class and direction over all groups."""
    held = sorted((row for table in examples for row in table.to_pylist()), key=lambda row: bytes(row["clip_id"]))
    taken: Counter[tuple[str, str]] = Counter()
    shown = []
    for row in held:
        key = (row["moved"], str(row["audio_class"]))
        taken[key] += 1
        if taken[key] <= SHOWN:
            shown.append({**row, "clip_id": row["clip_id"].hex()})
    return sorted(shown, key=lambda row: (row["moved"], str(row["audio_class"]), row["clip_id"]))


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
