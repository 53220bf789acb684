"""Audit: clips on both sides of every threshold, nearest first, as a page on which a person says which are good.

The answers come back as a JSON file: where people call many clips good that a threshold turns away, it is too tight.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from filters.capability import CLASSES, quote, text
from filters.gates import Condition, Gate, Policy, leaves
from filters.interval import wilson
from filters.policy import columns_of, judge
from manifests.errors import ConfigError, KlearError
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import decide, known
from pipeline.jobs.policy import drawn
from pipeline.jobs.policy.explain import between
from pipeline.jobs.run_stages import Ready
from pipeline.report.limits import Limit, scope, words

OPINIONS = ("good", "bad", "unsure")


def run(context: Context, near: int = 2) -> dict[str, Any]:
    """Of every bound, class and side, the `near` clips whose values lie closest to it; a row each under `clips`:
    clip_id (hex), gate, measure, audio_class, side (passes, fails), value, bound. A clip may stand for several."""
    policy = decide.policy_of(context)
    found = drawn.found_stages(context)
    rows = _drawn(context, policy, found, near, drawn.share(context, [policy])) or _drawn(context, policy, found, near)
    if not rows:
        raise KlearError("policy:nothing", f"no clip of {context.out} can be judged yet: run `klear filter`")
    empty = [gate.name for gate in policy.gates if gate.name not in {row["gate"] for row in rows}]
    return {"job": "policy audit", "policy": policy.name, "clips": rows, "unmeasured": empty}


def _drawn(
    context: Context, policy: Policy, found: Sequence[Ready], near: int, share: float | None = None
) -> list[dict[str, Any]]:
    """The rows of `run`, from a share of the clips, or from all where the sample of a small data set holds none."""
    rows: list[dict[str, Any]] = []
    for _, con in known.by_group(context, found, decide.reads(policy), share):
        rows = _nearest([*rows, *_of_group(con, policy, near)], near)
    return rows


def _of_group(con: duckdb.DuckDBPyConnection, policy: Policy, near: int) -> list[dict[str, Any]]:
    columns = columns_of(con, "judged")
    con.execute(f"CREATE OR REPLACE TEMP TABLE answered AS {judge(policy, columns, 'judged')}")
    known_columns = set(columns_of(con, "answered"))
    rows = []
    for i, gate in enumerate(policy.gates):
        for leaf in leaves(gate):
            if leaf.measure in known_columns:
                rows += con.sql(_near_sql(i, gate, leaf, near)).to_arrow_table().to_pylist()
    return [{**row, "clip_id": row["clip_id"].hex()} for row in rows]


def _near_sql(i: int, gate: Gate, leaf: Condition, near: int) -> str:
    """SQL of the clips closest to a bound, on its either side, by class. Values that only equal it are next to it."""
    value = f"CAST({quote(str(leaf.measure))} AS DOUBLE)"
    far = [f"abs({value} - {bound!r})" for bound in (leaf.min, leaf.max) if bound is not None]
    passes = [f"{value} >= {leaf.min!r}"] if leaf.min is not None else []
    passes += [f"{value} <= {leaf.max!r}"] if leaf.max is not None else []
    bound = words(Limit(gate.name, str(leaf.measure), leaf.min, leaf.max, (), True))
    side = f"CASE WHEN {' AND '.join(passes)} THEN 'passes' ELSE 'fails' END"
    return (
        f"SELECT clip_id, bucket, {text(gate.name)} AS gate, {text(str(leaf.measure))} AS measure, audio_class, "
        f"{side} AS side, {value} AS value, {text(bound)} AS bound, least({', '.join(far)}) AS away "
        f"FROM answered WHERE {value} IS NOT NULL AND NOT isnan({value}) AND applies{i} "
        "QUALIFY row_number() OVER (PARTITION BY audio_class, side ORDER BY away, clip_id) <= " + str(near)
    )


def _nearest(rows: list[dict[str, Any]], near: int) -> list[dict[str, Any]]:
    """The closest of each gate, measure, class and side; gates in the policy's order."""
    order = {name: n for n, name in enumerate(dict.fromkeys(row["gate"] for row in rows))}
    classes = {name: n for n, name in enumerate(CLASSES)}

    def place(row: Mapping[str, Any]) -> tuple[int, str, int, bool]:
        number = classes.get(str(row["audio_class"]), len(classes))
        return order[row["gate"]], row["measure"], number, row["side"] == "fails"

    taken: dict[tuple[int, str, int, bool], int] = {}
    kept = []
    for row in sorted(rows, key=lambda row: (place(row), row["away"], row["clip_id"])):
        taken[place(row)] = taken.get(place(row), 0) + 1
        if taken[place(row)] <= near:
            kept.append(row)
    return kept


def answers(context: Context, file: Path) -> dict[str, Any]:
    """What people said (the JSON that the page saves): of each bound and side, how many clips they call good.

    Raises ConfigError for a file that is not such a JSON or speaks of another policy.
    """
    policy = decide.policy_of(context)
    try:
        said = json.loads(file.read_text())
        rows = [(r["gate"], r["side"], r["opinion"]) for r in said["answers"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError("policy:answers", f"{file} is not what the audit page saves: {error}") from None
    if said.get("policy") != policy.name:
        raise ConfigError("policy:answers", f"{file} is about policy {said.get('policy')!r}, not {policy.name!r}")
    counted = []
    for gate in policy.gates:
        for side in ("passes", "fails"):
            good, bad = (sum(row == (gate.name, side, opinion) for row in rows) for opinion in OPINIONS[:2])
            if good + bad:
                low, high = wilson(good, good + bad)
                about = {"gate": gate.name, "classes": scope(gate.classes), "side": side, "looked_at": good + bad}
                counted.append({**about, "good": good / (good + bad), "low": low, "high": high})
    return {"job": "policy audit", "policy": policy.name, "answers": counted}


def show(result: Mapping[str, Any]) -> None:
    """What to open, or what was said."""
    if "answers" in result:
        body = [
            [r["gate"], r["side"], r["looked_at"], between(r["good"], r["low"], r["high"])] for r in result["answers"]
        ]
        console.rows("What people call good", ["gate", "side of the threshold", "clips", "good (95% interval)"], body)
        return
    different = len({row["clip_id"] for row in result["clips"]})
    console.say(f"{different} clips at {len({row['gate'] for row in result['clips']})} gates: {result['page']}")
    if result["unmeasured"]:
        console.say(f"nothing to see of {', '.join(result['unmeasured'])}: not measured on any of these clips")
