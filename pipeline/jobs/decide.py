"""Decide: apply the policy to everything measured so far. A query over the tables; nothing is decoded or run."""

import difflib
import time
from collections.abc import Mapping
from typing import Any

import duckdb

from filters.bypass import bypass
from filters.policy import Policy, apply, load_policy, yield_table
from manifests.errors import ConfigError
from manifests.ids import digest
from manifests.query import connect, register, wide
from manifests.schema import VERDICTS
from manifests.table import Table
from pipeline import console, stages
from pipeline.context import Context, rate
from pipeline.jobs import run_stages
from pipeline.stages import StageRef

NAME = "verdicts"
SURVIVORS = "c.clip_id IN (SELECT clip_id FROM verdicts WHERE keep OR bypass)"
"""Condition on clips: those that later tiers measure. The bypass sample is measured whatever the policy says."""
KEPT = "c.clip_id IN (SELECT clip_id FROM verdicts WHERE keep)"
"""Condition on clips: those that captioners and shards see."""


def run(context: Context) -> dict[str, Any]:
    """Publish the verdicts of what is known now and make them current; counts, classes, and yields by gate.

    A clip is judged when the first tier has measured it and no stage has quarantined it.
    """
    started = time.monotonic()
    policy = policy_of(context)
    con, tables = judged(context)
    verdicts = apply(policy, con, "judged").to_arrow_table().to_pylist()
    _publish(context, policy.digest(), tables, verdicts)
    kept = [row for row in verdicts if row["keep"]]
    return {
        "job": "decide",
        "policy": policy.name,
        "judged": len(verdicts),
        "kept": len(kept),
        "rejected": len(verdicts) - len(kept),
        "kept_by_class": _count(row["audio_class"] for row in kept),
        "yields": yield_table(policy, con, "judged").to_arrow_table().to_pylist(),
        **rate(started, len(verdicts)),
    }


def policy_of(context: Context) -> Policy:
    """The policy of the settings. Raises ConfigError when it is not there, or reads what no stage measures."""
    policy = load_policy(context.settings.policy)
    columns = [f"{name}.{column}" for name in stages.known() for column in stages.make(StageRef(name=name)).COLUMNS]
    for measure in policy.measures():
        if measure not in columns:
            near = difflib.get_close_matches(measure, columns, 1, 0.5)
            hint = f"did you mean {near[0]!r}?" if near else "no stage has such a column"
            raise ConfigError("config:policy", f"policy {policy.name}: unknown measure {measure!r}; {hint}")
    return policy


def judged(context: Context) -> tuple[duckdb.DuckDBPyConnection, list[Table]]:
    """A connection with the table `judged` (a row a clip, columns `<stage>.<column>`), and the tables behind it."""
    context.catalog.require("clips", "ingest")
    found, _ = run_stages.ready(context, context.settings.stages)
    con = connect(context.catalog)
    for r in found:
        register(con, r.table)
    first = {ref.name for ref in context.settings.tiers[0].stages}
    columns = {r.ref.name: list(r.stage.COLUMNS) for r in found}
    fit = [f'c.clip_id IN (SELECT clip_id FROM "{r.ref.name}")' for r in found if r.ref.name in first]
    fit += [f"c.clip_id NOT IN (SELECT clip_id FROM \"{r.ref.name}\" WHERE status = 'quarantined')" for r in found]
    con.execute(f"CREATE TEMP TABLE judged AS {wide(columns, ' AND '.join(fit))}")
    return con, [r.table for r in found]


def _publish(context: Context, policy: str, tables: list[Table], verdicts: list[dict[str, Any]]) -> Table:
    """The verdicts' recipe is the policy and all that was known: deciding the same again changes nothing."""
    known = sorted(f"{table.name}/{table.recipe}/{part}" for table in tables for part in table.published())
    share = context.settings.bypass
    table = context.catalog.table(NAME, digest(policy, str(share), *known).hex(), VERDICTS)
    table.publish("all", [{**row, "bypass": bypass(row["clip_id"], share)} for row in verdicts])
    return context.catalog.set_current(table)


def _count(values: Any) -> dict[str, int]:
    found: dict[str, int] = {}
    for value in sorted(str(v) for v in values):
        found[value] = found.get(value, 0) + 1
    return found


def show(result: Mapping[str, Any]) -> None:
    """The tiers that were measured, and what each gate rejected: all together, and it alone."""
    tier_keys = ["tier", "planned", "ok", "quarantined", "pending", "seconds", "clips_per_second"]
    if tiers := result.get("tiers"):
        console.rows("Measured", tier_keys, [[tier[key] for key in tier_keys] for tier in tiers])
    yields = result["yields"]
    keys = ["gate", "scope", "measured", "failed", "rejected", "alone"]
    header = ["gate", "scope", "measured", "failed", "rejected", "by this gate alone"]
    console.rows("Yield by gate", header, [[row.get(key) for key in keys] for row in yields])
