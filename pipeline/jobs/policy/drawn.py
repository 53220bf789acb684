"""Which clips speak for all: those that every gate was measured on, drawn by their ids.

Clips that an early tier turned away have no later measures, so what later gates reject is known without bias only from
the bypass sample. Where every measure is of the first tier, all clips count, up to a million of them.
"""

from collections.abc import Sequence

from filters.gates import Policy
from manifests.errors import ConfigError
from manifests.query import connect, groups
from pipeline.context import Context
from pipeline.jobs import known, run_stages
from pipeline.jobs.run_stages import Ready

MOST = 1_000_000
"""Clips beyond which a sample is as good: a share is then known to 0.1 percentage points."""

ENOUGH = 100
"""Clips below which a share would be known to 10 percentage points at best."""


def found_stages(context: Context) -> list[Ready]:
    """The stages of the preset that can run here."""
    return run_stages.ready(context, context.settings.stages)[0]


def late(context: Context, policy: Policy) -> list[str]:
    """The measures of the policy that clips rejected by an earlier tier do not have."""
    after = [ref.name for tier in context.settings.tiers[1:] for ref in tier.stages]
    return [measure for measure in policy.measures() if measure.rpartition(".")[0] in after]


def unmeasured(context: Context, policy: Policy, found: Sequence[Ready]) -> str | None:
    """What is wrong with the bypass sample, if anything: clips of it that a later tier has not measured, as when
    `bypass` was raised and `klear filter` not run to its end since. Looked for in the first buckets only."""
    needed = {measure.rpartition(".")[0] for measure in late(context, policy)}
    some = groups(context.catalog)[:1]
    for name in sorted(r.ref.name for r in found if r.ref.name in needed) if some else ():
        with known.of(context, found, (), some[0], sample=context.settings.bypass) as con:
            sql = (
                f'SELECT count(*) FILTER (l.clip_id IS NULL), count(*) FROM judged LEFT JOIN "{name}" l USING (clip_id)'
            )
            ((missing, clips),) = con.execute(sql).fetchall()
        if missing:
            return f"{missing:,} of {clips:,} clips of the bypass sample looked at were not measured by {name}"
    return None


def share(context: Context, policies: Sequence[Policy]) -> float | None:
    """The share of clips to look at, as `known.of` takes it; None for all.

    Raises ConfigError when the policies read later tiers and the preset lets no clip bypass the gates.
    """
    if any(late(context, policy) for policy in policies):
        if not context.settings.bypass:
            raise ConfigError(
                "policy:bypass",
                "the policy reads measures of later tiers, which rejected clips do not have, and bypass is 0: "
                "set bypass to 0.01 and run `klear filter` again",
            )
        return context.settings.bypass
    ((clips,),) = connect(context.catalog, asked="clips").execute("SELECT count(*) FROM clips").fetchall()
    return min(1.0, MOST / clips) if clips > MOST else None
