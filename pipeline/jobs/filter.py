"""Filter: measure and decide, tier by tier, so that a clip rejected by a cheap measure never meets a dear one."""

import time
from typing import Any

from pipeline.context import Context, rate
from pipeline.jobs import decide, measure, run_stages


def run(context: Context) -> dict[str, Any]:
    """Every tier, each followed by a decision; the last decision's counts, and each tier's."""
    started = time.monotonic()
    decide.policy_of(context)  # a wrong name or a missing weight is said before any work
    run_stages.ready(context, context.settings.stages)
    tiers: list[dict[str, Any]] = []
    verdict: dict[str, Any] = {}
    for tier in context.settings.tiers:
        tiers.append({"tier": tier.name, **measure.run(context, tier)})
        verdict = decide.run(context)
    quarantined = max((tier["quarantined"] for tier in tiers), default=0)
    return {
        **verdict,
        "job": "filter",
        "quarantined": quarantined,
        "tiers": tiers,
        **rate(started, sum(tier["done_now"] for tier in tiers)),
    }
