"""Measure: one tier of measures on the clips that are still in, plus the hash-chosen bypass sample."""

from typing import Any

from manifests.errors import ConfigError
from pipeline.config import TierSettings
from pipeline.context import Context
from pipeline.jobs import decide, run_stages


def run(context: Context, tier: TierSettings) -> dict[str, Any]:
    """Measure a tier. The first tier takes all clips; a later one those that the policy has not rejected so far."""
    first = tier.name == context.settings.tiers[0].name
    return run_stages.run(context, f"measure.{tier.name}", tier.stages, "true" if first else decide.SURVIVORS)


def named(context: Context, name: str) -> TierSettings:
    """The tier of that name. Raises ConfigError."""
    for tier in context.settings.tiers:
        if tier.name == name:
            return tier
    raise ConfigError("config:tier", f"no tier {name!r}; this preset has {[t.name for t in context.settings.tiers]}")
