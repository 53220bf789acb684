"""Compare tables with a baseline: a suite of drift for each, whose expectations are thresholds of its columns."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from manifests.catalog import Catalog
from manifests.expectations import drift, profile
from manifests.expectations.baseline import Baseline
from manifests.expectations.drift import Drift, Thresholds
from manifests.expectations.profile import Profile

SUITE = "{} drift"
"""Of the name of a table."""
_STATISTICS = {
    "psi": "population stability index",
    "share": "largest change of a word's share",
    "nulls": "change of the share of NULLs",
}


@dataclass(frozen=True)
class Compared:
    """A table beside its baseline. result: what great-expectations says (ExpectationSuiteValidationResult)."""

    table: str
    drifts: list[Drift]
    result: Any = field(repr=False, default=None)

    @property
    def drifted(self) -> list[Drift]:
        """What moved further than it may."""
        return [one for one in self.drifts if one.drifted]

    @property
    def furthest(self) -> Drift | None:
        """What moved most, in units of how far it may."""
        return max(self.drifts, key=lambda one: one.value / one.limit, default=None)

    def lines(self) -> list[str]:
        """For people: what moved further than it may."""
        return [f"{self.table}.{one.column} {_text(one)}: it is {_observed(one)}" for one in self.drifted]


def tables(
    catalog: Catalog, names: Iterable[str], baseline: Baseline, thresholds: Thresholds, severity: str
) -> list[Compared]:
    """Compare the current tables of these names that the baseline has. severity: critical | warning."""
    found = catalog.currents(name for name in names if name in baseline)
    if not found:
        return []
    from manifests.expectations import suite

    within = suite.context()
    profiles = {name: profile.of(catalog, table, baseline[name]) for name, table in found.items()}
    before, now = _sources_of_clips(baseline), _sources_now(catalog, profiles)
    compared = []
    for name, held in profiles.items():
        sources = (baseline[name].sources or before, held.sources or now) if _has_clips(catalog, name) else (0, 0)
        drifts = list(drift.between(baseline[name], held, sources, thresholds))
        compared.append(Compared(name, drifts, _result(suite, within, name, held, drifts, severity)))
    return compared


def _has_clips(catalog: Catalog, name: str) -> bool:
    table = catalog.current(name)
    return table is not None and table.schema.names[0] == "clip_id"


def _sources_of_clips(profiles: Baseline) -> int:
    """How many sources the clips have, as the tables tell that say so."""
    return max((told.sources for name, told in profiles.items() if name != "sources"), default=0)


def _sources_now(catalog: Catalog, profiles: Baseline) -> int:
    known = _sources_of_clips(profiles)
    clips = catalog.current("clips")
    return known or (profile.of(catalog, clips, Profile()).sources if clips else 0)


def _result(suite: Any, within: Any, name: str, held: Profile, drifts: list[Drift], severity: str) -> Any:
    cells = {f"{one.statistic} {one.column}": _cell(one, held.rows) for one in drifts}
    expected = [
        suite.expectation(
            "drift", cell, one.column, _text(one), {"statistic": one.statistic, "threshold": one.limit}, severity
        )
        for cell, one in zip(cells, drifts)
    ]
    return suite.validate(within, SUITE.format(name), cells, expected)


def _cell(one: Drift, rows: int) -> dict[str, Any]:
    return {"rows": rows, "bad": int(one.drifted), "examples": [], "observed": _observed(one)}


def _text(one: Drift) -> str:
    return f"has a {_STATISTICS[one.statistic]} of at most {one.limit:.3g}"


def _observed(one: Drift) -> str:
    return f"{one.value:.3g} ({one.told})"
