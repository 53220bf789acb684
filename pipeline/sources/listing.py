"""The listing table: every source that was ever named, streamed into Parquet parts in bounded memory.

Rows are spilled to a file a group of buckets as they come; then each bucket is deduplicated, freed of what is listed
already, and published. What a list or sidecar says of a source may change: then it has a row of a higher revision.
"""

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from manifests import parts
from manifests.catalog import Catalog
from manifests.ids import bucket, digest, recipe
from manifests.query import NEWEST_NOTES, connect
from manifests.schema import LISTING
from manifests.table import Table
from pipeline.sources import sightings
from pipeline.sources.entry import Row

VERSION = 2
NAME = "listing"
BATCH = 50_000
"""Rows that are Python objects at a time."""
PART = 20_000
"""Most rows of a part of the table."""
_GROUP_BITS = 7
_PLACE = pa.field("place", pa.int64())
_SEEN = pa.schema([LISTING.field("source_key"), LISTING.field("uri"), _PLACE])
_NOTES = ("licence", "attribution", "url", "transcript", "extra")


def table_of(catalog: Catalog) -> Table:
    """The listing table of an output folder."""
    return catalog.table(NAME, recipe(NAME, VERSION, "", {}, {}), LISTING)


def write(catalog: Catalog, rows: Iterable[Row], bits: int) -> Table:
    """List these sources (buckets are the first `bits` bits of their keys), and make the listing current.

    A source that is named twice is listed as it is named first, before all as it is named by who says something of it.
    Who says nothing (`silent`) changes nothing of what was said before.
    """
    table = catalog.set_current(table_of(catalog))
    con = duckdb.connect()
    with tempfile.TemporaryDirectory(prefix="klear-listing-") as folder:
        seen = Path(folder) / "seen"
        with pq.ParquetWriter(seen, _SEEN, compression="zstd") as writer:
            for group in _spilled(rows, Path(folder), min(bits, _GROUP_BITS)):
                found = pq.read_table(group)
                _publish_group(con, table, found, bits)
                writer.write_table(found.select(_SEEN.names))
                group.unlink()
        sightings.note(catalog, seen)
    return table


def has_remote(catalog: Catalog) -> bool:
    """Whether any listed source has to be fetched from elsewhere. Reads the ranges that Parquet keeps, not the rows."""
    if catalog.current(NAME) is None:
        return False
    asked = "SELECT 1 FROM listing WHERE uri < 'file:' OR uri >= 'file;' LIMIT 1"
    return bool(connect(catalog).execute(asked).fetchall())


def _spilled(rows: Iterable[Row], folder: Path, bits: int) -> list[Path]:
    """Files with the rows, one a group of buckets, in order of the groups; rows as they came, with their `place`."""
    schema = pa.schema([*LISTING, pa.field("silent", pa.bool_()), _PLACE])
    writers: dict[int, pq.ParquetWriter] = {}
    place = 0
    try:
        for batch in _batches(rows):
            groups: dict[int, list[Row]] = {}
            for row in batch:
                groups.setdefault(bucket(row["source_key"], bits), []).append({**row, "revision": 0, "place": place})
                place += 1
            for number, members in groups.items():
                if number not in writers:
                    writers[number] = pq.ParquetWriter(folder / f"{number:04x}.parquet", schema, compression="zstd")
                writers[number].write_table(pa.Table.from_pylist(members, schema=schema))
    finally:
        for writer in writers.values():
            writer.close()
    return sorted(folder.glob("*.parquet"))


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    source = iter(rows)
    while batch := list(islice(source, BATCH)):
        yield batch


def _publish_group(con: duckdb.DuckDBPyConnection, table: Table, found: pa.Table, bits: int) -> None:
    """Publish what is new of a group of buckets, in parts of one bucket."""
    numbers = sorted({bucket(key, bits) for key in found["source_key"].to_pylist()})
    new = _new(con, found, [table.read_bucket(number) for number in numbers])
    keys = new["source_key"].to_pylist()
    start = 0
    while start < len(new):
        number = bucket(keys[start], bits)
        end = start + 1
        while end < min(len(new), start + PART) and bucket(keys[end], bits) == number:
            end += 1
        piece = new.slice(start, end - start)
        said = [str(tuple(row.values())) for row in piece.select(["source_key", "revision", *_NOTES]).to_pylist()]
        table.publish_table(parts.name(number, keys[start], keys[end - 1], digest(*said)), piece)
        start = end


def _new(con: duckdb.DuckDBPyConnection, found: pa.Table, listed: list[pa.Table]) -> pa.Table:
    """Rows that are not listed yet, or whose notes are new, by key (so also by bucket)."""
    con.register("found", found)
    con.register("listed", pa.concat_tables(listed))
    names = ", ".join(f"n.{name}" for name in LISTING.names if name != "revision")
    same = " AND ".join(f"n.{name} IS NOT DISTINCT FROM o.{name}" for name in _NOTES)
    newest = f"SELECT * FROM listed QUALIFY row_number() OVER (PARTITION BY source_key ORDER BY {NEWEST_NOTES}) = 1"
    sql = f"""
        WITH named AS (
            SELECT * FROM found QUALIFY row_number() OVER (PARTITION BY source_key ORDER BY silent, place) = 1)
        SELECT {names}, coalesce(o.revision + 1, 0)::INTEGER AS revision
        FROM named n LEFT JOIN ({newest}) o ON o.source_key = n.source_key
        WHERE o.source_key IS NULL OR NOT (n.silent OR ({same})) ORDER BY n.source_key"""
    answer: pa.Table = con.sql(sql).to_arrow_table()
    return answer
