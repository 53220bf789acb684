"""Validate: the great-expectations suites of tables; run at the end of every job, and by itself."""

import time
from typing import Any

from manifests.catalog import Catalog
from manifests.expectations import check as check_tables
from pipeline import console

_INTERNAL = {"events", "listing", "release", "sightings"}


def check(catalog: Catalog, tables: list[str]) -> dict[str, int]:
    """Validate these tables; table -> expectations met. Raises KlearError `validate:failed` with what is wrong."""
    met = check_tables(catalog, tables)
    console.say(f"{len(met)} tables, {sum(met.values())} expectations", "valid", "green")
    return met


def run(catalog: Catalog) -> dict[str, Any]:
    """Validate all tables of an output folder."""
    started = time.monotonic()
    met = check(catalog, [name for name in catalog.names() if name not in _INTERNAL])
    return {"job": "validate", "tables": met, "seconds": round(time.monotonic() - started, 2)}
