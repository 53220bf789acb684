"""Ingest: sources in; their outcomes and the cut plan out. No media is written.

list -> probe -> first of each content -> cut -> the sources table (a row a uri, with its outcome)
"""

import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests.errors import ConfigError, KlearError
from manifests.ids import digest
from manifests.query import RESOLVED_SOURCES, connect, publish_by_bucket, rows, with_probes
from manifests.schema import CONTENTS, SOURCES
from manifests.table import Table
from manifests.takedowns import TAKEN, TAKEN_NOW
from pipeline.context import Context, check_error_rate, rate
from pipeline.jobs import cut, probe
from pipeline.sources import find, listing
from pipeline.sources.store import Store

TABLES = ("listing", "sightings", "probes", "canonical", "taken", "sources", "cuts", "clips")
"""What an ingest writes."""
_TRIES = 20
CANONICAL = "SELECT p.* FROM live_probes p JOIN first_of_content f ON f.source_key = p.source_key"


def run(context: Context, roots: Iterable[str | Path]) -> dict[str, Any]:
    """Ingest everything that the roots name (see `sources/find.py`); the counts of outcomes.

    Raises KlearError when too much is quarantined.
    """
    started = time.monotonic()
    context.prepare()
    named = [str(root) for root in roots]
    _check_apart(named, str(context.out))
    found = find.rows(named, Store(context.settings.sources))
    listing.write(context.catalog, found, context.settings.engine.bucket_bits)
    done = probe.run(context)
    taken(context)
    done = max(done, cut.run(context, canonical(context)))
    resolve(context)
    counts = _counts(context)
    limit = context.settings.engine.max_error_rate
    check_error_rate("ingest", counts["quarantined"], counts["sources"], limit, counts["causes"])
    return {"job": "ingest", **counts, **rate(started, done)}


def _check_apart(roots: list[str], out: str) -> None:
    """Raise ConfigError for a bucket's prefix with the output in it. (A folder may hold it: it is left out.)"""
    for root in roots:
        if "://" in root and f"{out}/".startswith(f"{root.rstrip('/')}/"):
            raise ConfigError("source:output", f"{out} lies in the source {root}: give another OUT, or a longer prefix")


def taken(context: Context) -> Table | None:
    """Publish what the takedowns amount to now, and make it current; None as long as nothing was ever taken down."""
    if context.catalog.current("takedowns") is None:
        return None
    return _query(context, "taken", TAKEN_NOW, TAKEN, ("listing", "probes"), "source_id")


def canonical(context: Context) -> Table:
    """Publish the table of contents, a row a source_id: the probe of the uri that stands for it; it is now current."""
    return _query(context, "canonical", CANONICAL, CONTENTS, ("listing", "probes"), "source_id")


def resolve(context: Context) -> Table:
    """Publish the sources table of what is known now, a row a uri with its outcome, and make it current."""
    inputs = ("listing", "probes", "cuts")
    return _query(context, "sources", RESOLVED_SOURCES, SOURCES, inputs, "coalesce(source_id, source_key)")


def _query(context: Context, name: str, sql: str, schema: pa.Schema, inputs: Sequence[str], place: str) -> Table:
    """A table that is a query over others, made current.

    Another driver may make the table current meanwhile, of inputs that are newer than ours (and a takedown is one): its
    table must not be replaced by ours, so ours is made anew.
    """
    for _ in range(_TRIES):
        before = context.catalog.current(name)
        table = _answered(context, name, sql, schema, inputs, place)
        if context.catalog.current(name) == before:
            return context.catalog.set_current(table)
    raise KlearError("ingest:contended", f"other runs made {name} anew {_TRIES} times meanwhile: run this one again")


def _answered(context: Context, name: str, sql: str, schema: pa.Schema, inputs: Sequence[str], place: str) -> Table:
    """The table of a query, published; its recipe names all parts of its inputs: same inputs, same table."""
    behind = [context.catalog.require(table, "ingest") for table in inputs]
    behind += context.catalog.currents(["sightings", "takedowns"]).values()
    states = [text for table in behind for text in (table.recipe, *table.state())]
    table = context.catalog.table(name, digest(name, *states).hex(), schema)
    con = with_probes(context.catalog, list(context.plan("probe").key_files()))
    publish_by_bucket(con, sql, table, context.settings.engine.bucket_bits, place)
    return table


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
