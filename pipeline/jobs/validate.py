"""Validate: the great-expectations suites of tables; run at the end of every job, and by itself, with Data Docs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from manifests.catalog import Catalog
from manifests.errors import KlearError
from manifests.expectations import baseline as baselines
from manifests.expectations import check as expectations
from manifests.expectations import compare, docs
from manifests.expectations.check import Validated
from manifests.expectations.compare import Compared
from manifests.expectations.drift import Thresholds
from pipeline import console, stages
from pipeline.config import ValidationSettings

DOCS = ("report", "data_docs")
"""Folders below OUT where the Data Docs are."""


@dataclass(frozen=True)
class Found:
    """What is known of some tables: their checks, and how far they are from the baseline of the settings, if any."""

    settings: ValidationSettings
    checked: list[Validated]
    compared: list[Compared]

    @property
    def moved(self) -> list[str]:
        """Columns that moved further than they may, a line each."""
        return [line for one in self.compared for line in one.lines()]

    @property
    def failed(self) -> list[str]:
        """What fails the job, a line each: unmet expectations, and drift where the settings say so."""
        unmet = [unmet.line() for one in self.checked for unmet in one.unmet]
        return [*unmet, *(self.moved if self.settings.drift == "fail" else [])]


def look(catalog: Catalog, tables: Iterable[str], settings: ValidationSettings) -> Found:
    """Check these tables, and compare them. Raises ConfigError for a baseline that is not there."""
    names = list(dict.fromkeys(tables))
    held = baselines.read(settings.baseline, names) if settings.baseline else {}
    checked = expectations.tables(catalog, names, {name: stages.declared(name) for name in names})
    sound = [one.table for one in checked if one.readable]
    severity = "critical" if settings.drift == "fail" else "warning"
    thresholds = Thresholds(settings.psi, settings.share)
    return Found(settings, checked, compare.tables(catalog, sound, held, thresholds, severity))


def check(catalog: Catalog, tables: Iterable[str], settings: ValidationSettings | None = None) -> dict[str, int]:
    """Validate these tables; table -> expectations met. Raises KlearError `validate:failed` with what is wrong."""
    found = look(catalog, tables, settings or ValidationSettings())
    if found.settings.drift == "warn":
        warn(found)
    if found.failed:
        raise KlearError("validate:failed", "tables do not fulfil their expectations:\n  " + "\n  ".join(found.failed))
    met = {one.table: one.met for one in found.checked}
    console.say(f"{len(met)} tables, {sum(met.values())} expectations", "valid", "green")
    return met


def warn(found: Found) -> None:
    """Say what moved away from the baseline."""
    for line in found.moved:
        console.say(line, "drift", "yellow")


def run(
    catalog: Catalog, settings: ValidationSettings | None = None, save: str | None = None
) -> tuple[dict[str, Any], Found]:
    """Validate all tables of an output folder and build its Data Docs; the outcome, and all that is known.

    `failed` lists what is not as it should be. save: where the profiles of the tables are written, for other runs.
    """
    started = time.monotonic()
    names = catalog.names()
    found = look(catalog, names, settings or ValidationSettings())
    results = [*(one.result for one in found.checked), *(one.result for one in found.compared)]
    page = docs.build(catalog.out.joinpath(*DOCS), catalog.out.name, results)
    told: dict[str, Any] = {"job": "validate", "tables": {one.table: _outcome(one) for one in found.checked}}
    if found.compared:
        told |= {"baseline": found.settings.baseline, "drift": {one.table: _moved(one) for one in found.compared}}
    if save is not None:
        baselines.save(save, baselines.of(catalog, names))
        told["saved_baseline"] = save
    told |= {"failed": found.failed, "data_docs": str(page)}
    return told | {"seconds": round(time.monotonic() - started, 2)}, found


def _outcome(one: Validated) -> dict[str, Any]:
    unmet = [{"column": u.column, "expected": u.text, "rows": u.bad, "examples": u.examples} for u in one.unmet]
    return {"rows": one.rows, "met": one.met, "unmet": unmet}


def _moved(one: Compared) -> dict[str, Any]:
    numbers = {moved.column: round(moved.value, 4) for moved in one.drifts if moved.statistic == "psi"}
    beyond = [{"column": d.column, "statistic": d.statistic, "value": d.value, "limit": d.limit} for d in one.drifted]
    return {"psi": numbers, "beyond": beyond}


def show(told: dict[str, Any], found: Found) -> None:
    """Table by table: rows, expectations met and not, and how far from the baseline; then the rows that did it."""
    near = {one.table: one for one in found.compared}
    header = ["table", "rows", "met", "not met", *(["furthest from the baseline"] if near else [])]
    body = [
        [one.table, one.rows, one.met, len(one.unmet), *([_most(near.get(one.table))] if near else [])]
        for one in found.checked
    ]
    console.rows("Expectations", header, body)
    if found.settings.drift == "warn":
        warn(found)
    for line in found.failed:
        console.say(line, "failed", "bold red")
    if "saved_baseline" in told:
        wrong = ", with what failed in it: other runs would be held to that" if found.failed else ""
        console.say(f"{told['saved_baseline']}{wrong}", "baseline", "yellow" if wrong else "dim")
    console.say(f"{told['data_docs']}, in {told['seconds']} s", "data docs", "dim")


def _most(one: Compared | None) -> str:
    if one is None:
        return "not in the baseline"
    if (most := one.furthest) is None or not most.value:
        return "-"
    return f"{most.column}: {most.statistic} {most.value:.2g} of {most.limit:.2g}"
