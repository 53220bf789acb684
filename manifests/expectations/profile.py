"""Profiles: how the values of a table's columns are distributed, by counts alone: small, whatever the table's size.

Two runs are compared in the bins of the first. Bins are found on a sample (tenths of it, or its values where there are
few), counts are those of all rows.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from manifests.catalog import Catalog
from manifests.expectations.aggregate import pieces
from manifests.query import connect
from manifests.table import Table

BINS = 10
FEW = 12
"""So many different numbers have a bin each."""
MOST_WORDS = 50
LONGEST_WORD = 40
"""Characters: what is longer is text."""
SAMPLE = 50_000
"""Rows on which bins are found."""
OTHER = "(other)"
_COMPARED = ("sources", "clips", "verdicts", "samples")
"""Tables that no stage makes, of which runs are compared."""
_PLACES = {"bucket", "attempts", "revision", "offset", "size", "start_us", "end_us", "start_frame", "video_index"}
_PLACES |= {"audio_index", "audio_anchor_s", "audio_step", "audio_slack_s", "origin_s", "uri", "name", "url", "recipe"}
_PLACES |= {"version", "generation", "shard", "error_message", "duplicate_of", "mp4_sha256", "extra", "mtime_ns"}
"""Columns that say where a row is or who made it: no measures."""


@dataclass(frozen=True)
class Counts:
    """Of one column. edges: upper ends of the bins of a column of numbers, the last bin has none; [] for words.
    counts: rows by bin (its number) or word. nulls: rows without a value."""

    edges: list[float]
    counts: dict[str, int]
    nulls: int = 0


@dataclass(frozen=True)
class Profile:
    """Of one table. sources: different ones among its rows, 0 where they do not say."""

    rows: int = 0
    sources: int = 0
    columns: dict[str, Counts] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As JSON knows it."""
        return asdict(self)

    @staticmethod
    def from_json(told: Mapping[str, Any]) -> "Profile":
        """What `to_json` wrote. Raises KeyError, TypeError for what it did not write."""
        columns = {name: Counts(**counts) for name, counts in told["columns"].items()}
        return Profile(told["rows"], told["sources"], columns)


def is_compared(name: str) -> bool:
    """Whether a table holds measures or outcomes, whose distribution says something of the data."""
    return "." in name or name in _COMPARED


def of(catalog: Catalog, table: Table, like: Profile | None = None) -> Profile:
    """The profile of a table, in the bins of `like`, else in its own."""
    shape = _shape(catalog, table) if like is None else {name: told for name, told in like.columns.items()}
    held = {column.name for column in _columns(table.schema)}
    shape = {name: told for name, told in shape.items() if name in held}
    sources = 'count(DISTINCT "source_id")' if "source_id" in table.schema.names else "0"
    asked = ["count(*)", sources, *(sql for name, told in shape.items() for sql in _counted(name, told))]
    rows = places = 0
    counts: list[Counter[str]] = [Counter() for _ in shape]
    nulls = [0] * len(shape)
    for piece in pieces(catalog, table):
        con = connect(catalog, piece, table.name)
        more, here, *found = con.execute(f'SELECT {", ".join(asked)} FROM "{table.name}"').fetchall()[0]
        rows, places = rows + more, places + here
        for number, told in enumerate(shape.values()):
            counts[number].update(_named(found[2 * number] or {}, told.edges))
            nulls[number] += found[2 * number + 1]
    columns = {name: Counts(told.edges, dict(c), n) for (name, told), c, n in zip(shape.items(), counts, nulls)}
    return Profile(rows, places, columns)


def _columns(schema: pa.Schema) -> Iterator[pa.Field]:
    for column in schema:
        kind = column.type
        flat = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
        if column.name not in _PLACES and (flat or pa.types.is_string(kind)):
            yield column


def _counted(name: str, told: Counts) -> tuple[str, str]:
    """SQL: a map of counts by upper end or word, and the number of NULLs."""
    nulls = f'count(*) FILTER ("{name}" IS NULL)'
    if told.edges:
        return f'histogram("{name}"::DOUBLE, {told.edges!r})', nulls
    known = ", ".join("'" + word.replace("'", "''") + "'" for word in told.counts if word != OTHER) or "NULL"
    word = f'"{name}"::VARCHAR'
    told_apart = f"CASE WHEN {word} IN ({known}) THEN {word} ELSE '{OTHER}' END"
    return f'histogram({told_apart}) FILTER ("{name}" IS NOT NULL)', nulls


def _named(found: Mapping[Any, int], edges: list[float]) -> dict[str, int]:
    """Counts by the number of their bin, or by word."""
    if not edges:
        return {str(word): count for word, count in found.items()}
    number = {edge: str(i) for i, edge in enumerate(edges)}
    return {number.get(end, str(len(edges))): count for end, count in found.items() if count}


def _shape(catalog: Catalog, table: Table) -> dict[str, Counts]:
    """The bins and words of each column, without counts, from the first rows by a hash of their key."""
    wanted = list(_columns(table.schema))
    if not wanted:
        return {}
    listed = ", ".join(f'"{column.name}"' for column in wanted)
    found: list[pa.Table] = []
    for piece in pieces(catalog, table):
        left = SAMPLE - sum(map(len, found))
        by = f'hash("{table.schema.names[0]}")'
        asked = f'SELECT {listed} FROM "{table.name}" ORDER BY {by} LIMIT {left}'
        found.append(connect(catalog, piece, table.name).sql(asked).to_arrow_table())
        if sum(map(len, found)) >= SAMPLE:
            break
    sample = pa.concat_tables(found, promote_options="permissive")
    shaped = {column.name: _shape_of(sample[column.name].drop_null()) for column in wanted}
    return {name: told for name, told in shaped.items() if told is not None}


def _shape_of(values: pa.ChunkedArray) -> Counts | None:
    """None for a column without values, and for text."""
    if not len(values):
        return None
    if pa.types.is_floating(values.type) or pa.types.is_integer(values.type):
        return Counts(_edges(values.to_numpy().astype(np.float64)), {})
    words = Counter(str(word) for word in values.to_pylist())
    if len(words) > max(2, min(MOST_WORDS, len(values) // 4)) or max(map(len, words)) > LONGEST_WORD:
        return None
    return Counts([], dict.fromkeys(sorted(words), 0))


def _edges(values: np.ndarray) -> list[float]:
    """Upper ends of bins, all but the last: between the values where there are few, else tenths of the rows."""
    finite = values[np.isfinite(values)]
    different = np.unique(finite)
    if not len(different):
        return [0.0]
    if len(different) > FEW:
        inner = np.unique(np.quantile(finite, np.linspace(0, 1, BINS + 1)[1:-1]))
        return [float(edge) for edge in inner]
    gaps = np.diff(different)
    apart = float(gaps.min() if len(gaps) else max(abs(float(different[0])), 1.0) * 1e-3) / 2
    ends = [float(different[0]) - apart, *(different[:-1] + gaps / 2).tolist(), float(different[-1]) + apart]
    return [float(edge) for edge in ends]
