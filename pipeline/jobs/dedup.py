"""Dedup: find near duplicates among all measured clips, and decide again without them.

fingerprints -> candidates (a band at a time) -> near (pairs with their distances: facts) -> decide (elects who stays)
"""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import ConfigError
from manifests.ids import digest, recipe
from manifests.query import connect, open_duckdb, register
from manifests.schema import NEAR
from manifests.table import Table
from pipeline import console
from pipeline.context import Context, rate
from pipeline.jobs import candidates, decide, nearness, run_stages
from pipeline.jobs.elect import STAGE

VERSION = 1
_PIECE = 500_000
"""Pairs of one part of the table `near`."""


def run(context: Context) -> dict[str, Any]:
    """Find the pairs of what is measured now, once; then decide. The counts, and how crowded each band is.

    Raises ConfigError when the preset does not measure fingerprints.
    """
    started = time.monotonic()
    prints = _fingerprints(context)
    con = _connect(context, prints)
    (clips,) = con.execute("SELECT count(*) FROM prints").fetchall()[0]
    bands = _near(context, prints, con)
    verdict = decide.run(context)
    (pairs,), (gone,) = (_count(context, name) for name in ("near", "duplicates"))
    counts = {"clips": clips, "pairs": pairs, "duplicates": gone, "kept": verdict["kept"]}
    return {"job": "dedup", **counts, "bands": bands, **rate(started, clips if bands else 0)}


def _fingerprints(context: Context) -> Table:
    context.catalog.require("clips", "ingest")
    found, _ = run_stages.ready(context, context.settings.stages)
    table = next((r.table for r in found if r.ref.name == STAGE), None)
    if table is None:
        raise ConfigError("config:dedup", f"the preset's tiers have no {STAGE}: add it to the first, then run filter")
    context.catalog.require(STAGE, "filter")
    return table


def _connect(context: Context, prints: Table) -> duckdb.DuckDBPyConnection:
    """All tables, with the view `prints`: the fingerprints of live clips."""
    con = connect(context.catalog, asked=f"clips {STAGE}")
    register(con, prints)
    con.execute(
        f"CREATE TEMP VIEW prints AS SELECT * FROM \"{STAGE}\" f SEMI JOIN clips USING (clip_id) WHERE f.status = 'ok'"
    )
    return con


def _near(context: Context, prints: Table, con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Make the table of pairs and make it current; the bands' counts, none when the pairs had been found before."""
    settings = context.settings.dedup
    live = context.catalog.current("canonical")
    inputs = {STAGE: digest(prints.recipe, *prints.state(), live.recipe if live else "").hex()}
    params = {"neighbours": settings.neighbours, "overlap": settings.overlap}
    table = context.catalog.table("near", recipe("near", VERSION, "", params, inputs), NEAR)
    bands: list[dict[str, Any]] = []
    if not table.has("done"):
        bands = candidates.find(con, "prints", settings.neighbours)
        _publish(con, table, settings.overlap)
    context.catalog.set_current(table)
    return bands


def _publish(con: duckdb.DuckDBPyConnection, table: Table, overlap: float) -> None:
    """Write the pairs in parts of fixed contents, and after them an empty part that says that they are all there."""
    with tempfile.TemporaryDirectory(prefix="klear-near-") as folder:
        found = Path(folder) / "near.parquet"
        with pq.ParquetWriter(found, NEAR) as writer:
            for rows in nearness.near_pairs(con, "prints", overlap):
                writer.write_table(rows)
        reader = con.sql(f"SELECT * FROM '{found}' ORDER BY pair").to_arrow_reader(_PIECE)
        for number, batch in enumerate(reader):
            table.publish_table(f"pairs-{number:05d}", pa.Table.from_batches([batch]))
    table.publish("done", [])


def _count(context: Context, name: str) -> tuple[int]:
    table = context.catalog.require(name, "dedup")
    con = open_duckdb(context.catalog)
    register(con, table)
    return con.execute(f'SELECT count(*) FROM "{name}"').fetchall()[0]


def show(result: Mapping[str, Any]) -> None:
    """How many words each band filed, and how crowded its keys are."""
    keys = ["band", "words", "largest", "crowded", "candidates"]
    header = ["band", "words", "most under one key", "share under crowded keys", "candidates"]
    if result["bands"]:
        console.rows("Bands", header, [[row[key] for key in keys] for row in result["bands"]])
