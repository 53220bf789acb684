"""Ingest: sources in; their outcomes and the cut plan out. No media is written.

list -> probe -> first of each content -> cut -> the sources table (a row a uri, with its outcome)
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from manifests.ids import digest
from manifests.query import RESOLVED_SOURCES, connect, rows
from manifests.schema import SOURCES
from manifests.table import Table
from pipeline.context import Context, check_error_rate, rate
from pipeline.jobs import cut, probe
from pipeline.sources import find, listing
from pipeline.sources.store import Store

CANONICAL = "SELECT p.* FROM live_probes p JOIN first_of_content f ON f.source_key = p.source_key ORDER BY p.source_id"


def run(context: Context, roots: Iterable[str | Path]) -> dict[str, Any]:
    """Ingest everything that the roots name (see `sources/find.py`); the counts of outcomes.

    Raises KlearError when too much is quarantined.
    """
    started = time.monotonic()
    context.prepare()
    found = find.rows(roots, Store(context.settings.sources))
    listing.write(context.catalog, found, context.settings.engine.bucket_bits)
    done = probe.run(context)
    done = max(done, cut.run(context, rows(connect(context.catalog), CANONICAL)))
    table = resolve(context)
    counts = _counts(context)
    quarantined = counts["quarantined"]
    check_error_rate("ingest", quarantined, len(table), context.settings.engine.max_error_rate, counts["causes"])
    return {"job": "ingest", **counts, **rate(started, done)}


def resolve(context: Context) -> list[dict[str, Any]]:
    """Publish the sources table of what is known now, and make it current; its rows."""
    found = rows(connect(context.catalog), RESOLVED_SOURCES)
    inputs = [context.catalog.require(name, "ingest") for name in ("listing", "probes", "cuts")]
    parts = sorted(f"{table.recipe}/{part}" for table in inputs for part in table.published())
    table = Table(context.catalog.root, "sources", digest("sources", *parts).hex(), SOURCES)
    table.publish("all", [{name: row[name] for name in SOURCES.names} for row in found])
    context.catalog.set_current(table)
    return found


def _counts(context: Context) -> dict[str, Any]:
    con = connect(context.catalog)
    counted = {row["outcome"]: row["n"] for row in rows(con, "SELECT outcome, count(*) n FROM sources GROUP BY ALL")}
    outcomes = ("ok", "ineligible", "duplicate", "quarantined", "pending")
    bad = rows(
        con, "SELECT error_code, count(*) n FROM sources WHERE outcome = 'quarantined' GROUP BY ALL ORDER BY ALL"
    )
    return {
        "sources": sum(counted.values()),
        **{name: counted.get(name, 0) for name in outcomes},
        "clips": con.execute("SELECT count(*) FROM clips").fetchall()[0][0],
        "causes": {row["error_code"]: row["n"] for row in bad},
    }
