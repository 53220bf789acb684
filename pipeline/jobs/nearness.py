"""Nearness: the exact distances of candidate pairs, streamed; pairs far apart in picture and sound are forgotten."""

from collections.abc import Iterator

import duckdb
import numpy as np
import pyarrow as pa

from filters.duplicates.distance import distances
from manifests.schema import NEAR

LOOSE = 0.3
"""Distance above which a pair is not worth remembering: two strangers differ in 0.4 to 0.5 of their bits."""
_BATCH = 4096


def near_pairs(con: duckdb.DuckDBPyConnection, fingerprints: str, overlap: float) -> Iterator[pa.Table]:
    """Tables of the schema NEAR: the pairs of `candidates` whose picture or sound is at most LOOSE apart.

    fingerprints: a relation of `con` with clip_id, source_id, picture, sound. overlap: share of the longer clip that
    both must show.
    """
    sql = f"""
SELECT x.clip_id, y.clip_id, x.source_id, y.source_id, x.picture, y.picture, x.sound, y.sound FROM candidates
JOIN {fingerprints} x ON hash(x.clip_id) = candidates.a JOIN {fingerprints} y ON hash(y.clip_id) = candidates.b"""
    for batch in con.sql(sql).to_arrow_reader(_BATCH):
        seen = distances(_words(batch.column(4), "<u8"), _words(batch.column(5), "<u8"), overlap)
        heard = distances(_words(batch.column(6), "<u4"), _words(batch.column(7), "<u4"), overlap)
        with np.errstate(invalid="ignore"):
            near = np.flatnonzero((seen <= LOOSE) | (heard <= LOOSE))
        yield _rows(batch.take(pa.array(near)), seen[near], heard[near])


def _rows(batch: pa.RecordBatch, seen: np.ndarray, heard: np.ndarray) -> pa.Table:
    """Pairs in the order of their ids, distances NULL where nothing compares."""
    ids = [column.to_pylist() for column in batch.columns[:4]]
    rows = []
    for a, b, a_source, b_source, picture, sound in zip(*ids, seen.tolist(), heard.tolist()):
        one, two = sorted([(bytes(a), bytes(a_source)), (bytes(b), bytes(b_source))])
        rows.append((one[0] + two[0], one[0], two[0], one[1], two[1], _known(picture), _known(sound)))
    return pa.Table.from_pylist([dict(zip(NEAR.names, row)) for row in rows], schema=NEAR)


def _known(distance: float) -> float | None:
    return None if np.isnan(distance) else distance


def _words(column: pa.Array, kind: str) -> np.ndarray:
    """Binary words, one clip a row, padded with zeros to the longest; (P, n)."""
    rows = [np.frombuffer(value or b"", kind) for value in column.to_pylist()]
    out = np.zeros((len(rows), max(1, *(len(row) for row in rows), 1)), kind)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out
