"""Validate: the great-expectations suites of tables; run at the end of every job, and by itself."""

import time
from collections.abc import Iterable
from typing import Any

from manifests.catalog import Catalog
from manifests.expectations import check as expectations
from pipeline import console, stages


def check(catalog: Catalog, tables: Iterable[str]) -> dict[str, int]:
    """Validate these tables; table -> expectations met. Raises KlearError `validate:failed` with what is wrong."""
    found = _checked(catalog, tables)
    expectations.complain(found)
    met = {one.table: one.met for one in found}
    console.say(f"{len(met)} tables, {sum(met.values())} expectations", "valid", "green")
    return met


def _checked(catalog: Catalog, tables: Iterable[str]) -> list[expectations.Validated]:
    names = list(dict.fromkeys(tables))
    return expectations.tables(catalog, names, {name: stages.declared(name) for name in names})


def run(catalog: Catalog) -> dict[str, Any]:
    """Validate all tables of an output folder."""
    started = time.monotonic()
    met = check(catalog, catalog.names())
    return {"job": "validate", "tables": met, "seconds": round(time.monotonic() - started, 2)}
