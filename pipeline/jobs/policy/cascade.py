"""Cascade: what measuring in tiers saves, by measured cost and rejection, and which order would save more."""

from collections.abc import Sequence
from operator import methodcaller
from typing import Any

import numpy as np
import yaml

from filters import cascade
from filters.cascade import Cost
from filters.patterns import Patterns
from manifests import files
from manifests.errors import KlearError
from manifests.files import AnyPath
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import costs
from pipeline.jobs.policy import drawn, explain
from pipeline.jobs.policy.explain import percent
from pipeline.jobs.run_stages import Ready


def run(context: Context, to: AnyPath | None = None) -> dict[str, Any]:
    """Cost a clip of this preset's tiers, of one tier for all, and of the best tiers found; in seconds of a worker.

    to: where to write the best tiers, as YAML to put into a preset in place of its own: the order is pinned by it.
    """
    counted = explain.count(context)
    ready, policy = drawn.found_stages(context), counted.policy
    wrong = drawn.unmeasured(context, policy, ready)
    counted, biased = explain.speaking(counted, drawn.late(context, policy), wrong)
    names = {ref.name for tier in context.settings.tiers for ref in tier.stages}
    found = [r for r in ready if r.ref.name in names]
    cost, declared = _costs(context, found)
    now = [[ref.name for ref in tier.stages if ref.name in cost.stages] for tier in context.settings.tiers]
    order = cascade.ranked(counted, cost, {r.ref.name: r.stage.INPUTS for r in found})
    best = cascade.best_tiers(counted, order, cost)
    seconds = {
        "one tier": cascade.expected(counted, [order], cost),
        "these tiers": cascade.expected(counted, now, cost),
        "best found": cascade.expected(counted, best, cost),
    }
    if to:
        files.replace(to, methodcaller("write", _preset(context, best).encode()))
    return {
        "job": "policy cascade",
        "clips": int(counted.clips.sum()),
        "biased": biased,
        "declared": declared,
        "render": cost.render,
        "seconds": seconds,
        "saved": 1 - seconds["these tiers"] / seconds["one tier"],
        "stages": [_row(counted, cost, name, now, best) for name in order],
        "best": best,
        **({"file": str(to)} if to else {}),
    }


def _costs(context: Context, found: Sequence[Ready]) -> tuple[Cost, list[str]]:
    """Measured seconds a clip, the median of parts, as the first of a worker holds imports and the loading of models;
    for stages without any, what they declare, and their names."""
    told = {key: each for key, each in costs.seconds_a_clip(context).items() if key[0].startswith("measure.")}
    measured = {stage: each for (_, stage), each in told.items() if stage not in ("render", "cpu")}
    render = [each for (_, stage), each in told.items() if stage == "render"]
    seconds = costs.clip_seconds(context)
    declared = {r.ref.name: r.stage.COST * seconds for r in found if r.stage.COST is not None}
    if unknown := sorted({r.ref.name for r in found} - measured.keys() - declared.keys()):
        raise KlearError(
            "policy:cost", f"nobody knows what {', '.join(unknown)} cost: run `klear measure` on some clips"
        )
    stages = {r.ref.name: measured.get(r.ref.name, declared.get(r.ref.name, 0.0)) for r in found}
    return Cost(stages, float(np.mean(render)) if render else 0.0), sorted(stages.keys() - measured.keys())


def _row(counted: Patterns, cost: Cost, name: str, now: list[list[str]], best: list[list[str]]) -> dict[str, Any]:
    share = cascade.rejects(counted, name)
    seconds = cost.stages[name]
    return {
        "stage": name,
        "seconds": seconds,
        "rejects": share,
        "rank": share / seconds if seconds else None,
        "tier": next(n for n, tier in enumerate(now, 1) if name in tier),
        "best": next(n for n, tier in enumerate(best, 1) if name in tier),
    }


def _preset(context: Context, best: list[list[str]]) -> str:
    """`tiers:` for a preset. Stages that are absent here stay, in the last tier."""
    refs = {ref.name: ref for tier in context.settings.tiers for ref in tier.stages}
    placed = {name for tier in best for name in tier}
    tiers = [*best[:-1], [*best[-1], *(name for name in refs if name not in placed)]]
    told = [
        {"name": f"tier{n}", "stages": [refs[name].model_dump(exclude_defaults=True) for name in tier]}
        for n, tier in enumerate(tiers, 1)
    ]
    return yaml.safe_dump({"tiers": told}, sort_keys=False)


def show(result: dict[str, Any]) -> None:
    """Tables for people."""
    body = [
        [row["stage"], round(row["seconds"], 4), percent(row["rejects"]), row["tier"], row["best"]]
        for row in result["stages"]
    ]
    header = ["stage, by rejection over cost", "seconds a clip", "rejects", "tier", "best tier"]
    console.rows("Cascade", header, body)
    whole = result["seconds"]["one tier"]
    body = [[name, round(each, 3), percent(1 - each / whole)] for name, each in result["seconds"].items()]
    console.rows("Cost", ["", "seconds a clip", "saved"], body)
    if result["biased"]:
        console.say("few clips bypass the tiers: what later gates reject is counted on what earlier ones let through")
    if result["declared"]:
        console.say(f"not run yet, so by declared cost: {', '.join(result['declared'])}")
    if "file" in result:
        console.say(f"{result['file']}: put it in place of the preset's tiers")
