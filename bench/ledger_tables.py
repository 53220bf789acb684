"""Synthetic tables of any number of clips, in the real layout, for bench/ledger.py: made in seconds a million."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from filters.gates import leaves, load_policy
from manifests import parts
from manifests.compact import row_groups
from manifests.folded import SUFFIX
from manifests.ids import digest
from manifests.schema import CLIPS, CONTENTS, ID, LISTING, PROBES, SOURCES
from manifests.table import Table
from pipeline.context import Context
from pipeline.engine.plan import Plan
from pipeline.jobs import run_stages

CLIPS_PER_SOURCE = 20
PASSES = 0.9
"""Share of the clips that pass each gate."""
QUARANTINED = 0.002
_CLASSES = np.array(["speech", "singing", "music", "sound"])


class Maker:
    """Makes the tables of one output folder. loose: a file a part, as jobs publish them; else folded, as compacted.
    lean: numbers that no step reads are all 0, which takes less disk."""

    def __init__(self, context: Context, clips: int, loose: bool, lean: bool) -> None:
        self.context, self.loose, self.lean = context, loose, lean
        self.buckets = 1 << context.settings.engine.bucket_bits
        self.sources = max(1, clips // CLIPS_PER_SOURCE // self.buckets)
        self.size = context.settings.engine.part_clips
        self.bounds = _bounds(context.settings.policy)

    def base(self) -> None:
        """Listing, probes, canonical, sources and clips, and the plan of the probes."""
        schemas = {"listing": LISTING, "probes": PROBES, "canonical": CONTENTS, "sources": SOURCES, "clips": CLIPS}
        tables = {name: self._table(name, schema) for name, schema in schemas.items()}
        for bucket in range(self.buckets):
            rng = np.random.default_rng(bucket)
            ids = np.sort(_ids(rng, self.sources, bucket))
            keys = _ids(rng, self.sources, bucket)
            named = {"source_id": _column(ids), "source_key": _column(keys)}
            uris = pa.array([f"s3://raw/{key.hex()[:16]}.mp4" for key in keys.tolist()])
            said = named | {"uri": uris, "name": uris, "status": "ok", "outcome": "ok", "clips": CLIPS_PER_SOURCE}
            for name in ("listing", "probes", "canonical", "sources"):
                rows = self._rows(tables[name].schema, self.sources, rng, said)
                self._write(tables[name], bucket, [(_part(bucket, ids, name), rows)])
            self._write(tables["clips"], bucket, self._clips(tables["clips"], bucket, ids, rng))
        for table in tables.values():
            self.context.catalog.set_current(table)

    def stages(self, tier: int, plan: Plan) -> None:
        """The tables of a tier, in the parts that its plan names."""
        refs = self.context.settings.tiers[tier].stages
        found, _ = run_stages.ready(self.context, refs)
        epochs = plan.epochs()
        for bucket in range(self.buckets):
            planned = [part for epoch in epochs for part in epoch.parts.get(bucket, [])]
            if not planned:
                continue
            rng = np.random.default_rng([tier, bucket])
            keys = pq.read_table(plan.folder / "keys" / f"{planned[0].file}.parquet")["key"].combine_chunks()
            edges = np.cumsum([0, *(part.count for part in planned)])
            for ready in found:
                rows = self._measured(ready.table, ready.ref.name, bucket, keys, rng)
                pieces = [(p.name, rows.slice(a, p.count)) for p, a in zip(planned, edges)]
                self._write(ready.table, bucket, pieces)
        for ready in found:
            self.context.catalog.set_current(ready.table)

    def _table(self, name: str, schema: pa.Schema) -> Table:
        return self.context.catalog.table(name, digest("bench", name).hex(), schema)

    def _clips(self, table: Table, bucket: int, ids: np.ndarray, rng: np.random.Generator) -> Iterator[tuple]:
        owners = np.repeat(ids, CLIPS_PER_SOURCE)
        for start in range(0, len(owners), self.size):
            held = owners[start : start + self.size]
            own = {"clip_id": _column(_ids(rng, len(held))), "source_id": _column(held), "bucket": bucket}
            own |= {"look": "", "uri": "s3://raw/clip.mp4", "name": "clip.mp4", "fps_num": 25, "fps_den": 1}
            yield _part(bucket, held, str(start)), self._rows(table.schema, len(held), rng, own)

    def _measured(self, table: Table, stage: str, bucket: int, keys: pa.Array, rng: np.random.Generator) -> pa.Table:
        count = len(keys)
        bad = rng.random(count) < QUARANTINED
        owners = _column(np.repeat(_ids(rng, -(-count // CLIPS_PER_SOURCE), bucket), CLIPS_PER_SOURCE)[:count])
        own = {"clip_id": keys, "source_id": owners, "bucket": bucket, "recipe": table.recipe}
        own["status"] = pa.array(np.where(bad, "quarantined", "ok"))
        own["error_code"] = pa.array(np.where(bad, "media:timeout", ""), mask=~bad)
        own |= {"error_stage": None, "error_message": None, "attempts": 1}
        for name, (low, high, fails) in self.bounds.items():
            if name.rpartition(".")[0] == stage:
                values = np.where(rng.random(count) < PASSES, rng.uniform(low, high, count), fails)
                own[name.rpartition(".")[2]] = pa.array(values)
        return self._rows(table.schema, count, rng, own)

    def _rows(self, schema: pa.Schema, count: int, rng: np.random.Generator, own: dict) -> pa.Table:
        columns = []
        for field in schema:
            value = own.get(field.name, _ANY)
            if value is _ANY:
                columns.append(_random(field, count, rng, self.lean))
            elif isinstance(value, pa.Array):
                columns.append(value.cast(field.type, safe=False))
            else:
                columns.append(pa.repeat(pa.scalar(value, field.type), count))
        return pa.table(columns, schema=schema)

    def _write(self, table: Table, bucket: int, pieces: Iterable[tuple[str, pa.Table]]) -> None:
        folder = Path(table.folder_of(bucket))
        folder.mkdir(parents=True, exist_ok=True)
        if self.loose:
            for name, rows in pieces:
                pq.write_table(rows, folder / f"{name}{SUFFIX}", compression="zstd")
            return
        file = f"fold-00001-{digest(table.name, bucket).hex()[:16]}{SUFFIX}"
        named = list(pieces)
        with pq.ParquetWriter(folder / file, table.schema, compression="zstd") as writer:
            for rows in row_groups(rows for _, rows in named):
                writer.write_table(rows, row_group_size=len(rows))
        entries = [(name, 0, len(rows)) for name, rows in named]
        (folder / "manifest-00001.json").write_text(json.dumps({"made_s": 0.0, "files": {file: entries}}))


_ANY = object()


def _random(field: pa.Field, count: int, rng: np.random.Generator, lean: bool) -> pa.Array:
    if field.name == "audio_class":
        return pa.array(_CLASSES[rng.integers(0, 4, count)])
    if lean and (pa.types.is_floating(field.type) or pa.types.is_integer(field.type)):
        return pa.repeat(pa.scalar(0, field.type), count)
    if pa.types.is_floating(field.type):
        return pa.array(rng.normal(size=count).round(4))
    if pa.types.is_integer(field.type):
        return pa.array(rng.integers(0, 300, count)).cast(field.type)
    if field.nullable:
        return pa.nulls(count, field.type)
    return pa.repeat(pa.scalar(b"" if field.type == ID else "", field.type), count)


def _bounds(policy: str) -> dict[str, tuple[float, float, float]]:
    """Measure -> a range of values that pass its gate, and a value that fails."""
    found = {}
    for gate in load_policy(policy).gates:
        for leaf in leaves(gate):
            low = leaf.min if leaf.min is not None else (leaf.max or 0.0) - 1.0
            high = leaf.max if leaf.max is not None else low + 100.0
            found[leaf.measure or ""] = (low, high, low - 1e3 if leaf.max is None else high + 1e3)
    return found


def _ids(rng: np.random.Generator, count: int, bucket: int | None = None) -> np.ndarray:
    data = rng.integers(0, 256, (count, 16), np.uint8)
    if bucket is not None:
        data[:, 0] = bucket
    data[:, 15] |= 1  # numpy drops zeros at the end of its strings of bytes
    return data.view("S16").ravel()


def _column(ids: np.ndarray) -> pa.Array:
    return pa.Array.from_buffers(ID, len(ids), [None, pa.py_buffer(np.ascontiguousarray(ids).tobytes())])


def _part(bucket: int, ids: np.ndarray, salt: str) -> str:
    low, high = (bytes(ids[i]).ljust(16, b"\0") for i in (0, -1))
    return parts.name(bucket, low, high, digest(low, high, salt))
