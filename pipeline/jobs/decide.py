"""Decide: apply the policy to everything measured so far. A query over the tables; nothing is decoded or run."""

import difflib
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from filters import verdicts
from filters.capability import CLASS_COLUMNS
from filters.policy import Policy, columns_of, judge, kept_sql, load_policy
from manifests.errors import ConfigError
from manifests.ids import digest
from manifests.query import register
from manifests.schema import VERDICTS
from manifests.table import Table
from pipeline import console, stages
from pipeline.context import Context, rate
from pipeline.engine import metrics
from pipeline.jobs import elect, known, run_stages

NAME = "verdicts"
SURVIVORS = "c.clip_id IN (SELECT clip_id FROM verdicts WHERE keep OR bypass)"
"""Condition on clips: those that later tiers measure. The bypass sample is measured whatever the policy says."""
KEPT = "c.clip_id IN (SELECT clip_id FROM verdicts WHERE keep)"
"""Condition on clips: those that captioners and shards see."""


def run(context: Context) -> dict[str, Any]:
    """Publish the verdicts of what is known now and make them current; counts, classes, and yields by gate.

    A clip is judged when the first tier has measured it and no stage has quarantined it. A few buckets at a time:
    the memory of these, however many there are.
    """
    started = time.monotonic()
    policy = policy_of(context)
    context.catalog.require("clips", "ingest")
    found, _ = run_stages.ready(context, context.settings.stages)
    compared = any(r.ref.name == elect.STAGE for r in found)
    same = elect.duplicates(context, partial(_kept, context, policy, found)) if compared else None
    table = _verdicts(context, policy, [*(r.table for r in found), *([same] if same else [])])
    kept: Counter[str] = Counter()
    judged_clips = 0
    yields: list[dict[str, Any]] = []
    with ThreadPoolExecutor(1) as writer:  # one group of buckets is written while the next is judged
        writing: list[Future[None]] = []
        for some, told, counted in _by_group(context, policy, found, same):
            judged_clips += len(told)
            classes = told.filter(told["keep"])["audio_class"].value_counts().to_pylist()
            kept.update({str(entry["values"]): entry["counts"] for entry in classes})
            yields = _summed(yields, counted)
            _finish(writing)
            writing = [writer.submit(_publish, table, told, some)]
        _finish(writing)
    context.catalog.set_current(table)
    metrics.decided({"kept": kept.total(), "rejected": judged_clips - kept.total()}, yields)
    return {
        "job": "decide",
        "policy": policy.name,
        "judged": judged_clips,
        "kept": kept.total(),
        "rejected": judged_clips - kept.total(),
        "kept_by_class": dict(sorted(kept.items())),
        "yields": yields,
        **rate(started, judged_clips),
    }


def _by_group(
    context: Context, policy: Policy, found: Sequence[run_stages.Ready], same: Table | None
) -> Iterator[tuple[list[int], pa.Table, list[dict[str, Any]]]]:
    """Buckets, the verdicts of their clips (with the column `bucket`), and the yields of the gates."""
    for some, con in known.by_group(context, found, reads(policy)):
        found_here = verdicts.apply(policy, con, "judged", ["bucket", "bypass"])
        told, extra = found_here.table, []
        if same:
            register(con, same, bucket=some)
            con.register("told", told)
            told = con.sql(elect.gated("SELECT * FROM told", context.settings.dedup)).to_arrow_table()
            extra = [elect.yield_of(told)]
        yield some, told, [*found_here.patterns.yields(), *extra]
        con.close()


def _finish(writing: list[Future[None]]) -> None:
    """Wait; raises what it raised."""
    for done in writing:
        done.result()


def _publish(table: Table, told: pa.Table, some: Sequence[int]) -> None:
    """A part a bucket."""
    numbers = told["bucket"].to_numpy()
    if (np.diff(numbers) < 0).any():  # as a rule they come in order; a join to the duplicates may change it
        told = told.take(pc.sort_indices(told["bucket"]))
        numbers = told["bucket"].to_numpy()
    ends = np.searchsorted(numbers, some, "right")
    for bucket, start, end in zip(some, [0, *ends], ends):
        table.publish_table(f"b{bucket:04x}-all", told.slice(start, end - start))


def policy_of(context: Context) -> Policy:
    """The policy of the settings. Raises as `named`."""
    return named(context.settings.policy)


def named(name: str) -> Policy:
    """A policy by name or file. Raises ConfigError when it is not there, or reads what is no number of a stage."""
    policy = load_policy(name)
    kinds = {name: getattr(stages.kind(name), "COLUMNS", {}) for name in stages.known()}
    columns = {f"{name}.{column}": kind for name, held in kinds.items() for column, kind in held.items()}
    for measure in policy.measures():
        if measure not in columns:
            near = difflib.get_close_matches(measure, columns, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else "no stage has such a column"
            raise ConfigError("config:policy", f"policy {policy.name}: unknown measure {measure!r}; {hint}")
        if not _is_number(columns[measure]):
            raise ConfigError(
                "config:policy",
                f"policy {policy.name}: {measure} is of type {columns[measure]}, and gates and scores bound numbers; "
                "audio classes are chosen by a gate's `classes`",
            )
    return policy


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)


def _kept(
    context: Context, policy: Policy, found: Sequence[run_stages.Ready], bucket: int, members: pa.Table
) -> pa.Table:
    """Those of the members (a table with clip_id, of one bucket) that the policy keeps."""
    con = known.of(context, found, reads(policy), [bucket], members)
    judged = judge(policy, columns_of(con, "judged"), "judged")
    kept: pa.Table = con.sql(f"SELECT clip_id FROM ({judged}) WHERE {kept_sql(policy)}").to_arrow_table()
    return kept


def reads(policy: Policy) -> set[str]:
    """The measures that verdicts depend on."""
    return {*policy.measures(), *CLASS_COLUMNS}


def _verdicts(context: Context, policy: Policy, tables: list[Table]) -> Table:
    """The verdicts' recipe is the policy and all that was known: deciding the same again changes nothing."""
    state = [f"{table.name}/{table.recipe}/{part}" for table in tables for part in table.state()]
    clips = context.catalog.require("clips", "ingest")
    canonical = context.catalog.current("canonical")
    state += [f"clips/{clips.recipe}/{part}" for part in clips.state()] + [canonical.recipe if canonical else ""]
    made_by = digest(policy.digest(), str(context.settings.bypass), *sorted(state)).hex()
    return context.catalog.table(NAME, made_by, VERDICTS)


def _summed(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Yields of two groups of clips, together: gates in the same order, counts added."""
    if not one:
        return two
    return [{k: a[k] + b[k] if isinstance(a[k], int) else a[k] for k in a} for a, b in zip(one, two, strict=True)]


def show(result: Mapping[str, Any]) -> None:
    """The tiers that were measured, and what each gate rejected: all together, and it alone."""
    tier_keys = ["tier", "planned", "ok", "quarantined", "pending", "seconds", "clips_per_second"]
    if tiers := result.get("tiers"):
        console.rows("Measured", tier_keys, [[tier[key] for key in tier_keys] for tier in tiers])
    yields = result["yields"]
    keys = ["gate", "scope", "measured", "failed", "rejected", "alone"]
    header = ["gate", "scope", "measured", "failed", "rejected", "by this gate alone"]
    console.rows("Yield by gate", header, [[row.get(key) for key in keys] for row in yields])
