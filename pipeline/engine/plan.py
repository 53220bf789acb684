"""The plan: which key belongs to which part. Written before any work, never changed, so a part keeps its name.

A plan grows by epochs: keys that a later run wants are planned into new parts, and the old parts stay as they are.

    plan/<job>/epoch-00000.parquet           its parts, and the files of their keys: publishing it is the commit
    plan/<job>/keys/b0012-<digest>.parquet   keys of one bucket, with the part of each

Keys are written a bucket at a time, so the plan of a hundred million keys needs the memory of one bucket. Epochs are
created if absent: of two drivers that plan at once, the second reads what the first wrote.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import files, parts
from manifests.files import AnyPath, publish
from manifests.ids import SIZE, digest
from manifests.schema import PLAN_KEYS, PLAN_PARTS
from manifests.table import read_file
from pipeline.engine.wanted import Wanted


@dataclass(frozen=True)
class Part:
    """A planned group of keys of one bucket: the unit of leases, commits and files.

    count: of its keys. file: the plan's file that holds them; "" where the job itself knows them (shards).
    """

    name: str
    bucket: int
    count: int
    file: str = ""


@dataclass(frozen=True)
class Epoch:
    """One extension of a plan. parts: by bucket."""

    number: int
    parts: dict[int, list[Part]]


@dataclass(frozen=True)
class Plan:
    """The parts of one job, in epoch files under `folder`."""

    folder: AnyPath

    def epochs(self) -> list[Epoch]:
        """All epochs, oldest first."""
        names = [name for name in files.names(self.folder) if name.startswith("epoch-")]
        return [_epoch(i, self.folder / name) for i, name in enumerate(names)]

    def parts(self) -> list[Part]:
        """All planned parts, by name."""
        found = [part for epoch in self.epochs() for group in epoch.parts.values() for part in group]
        return sorted(found, key=lambda part: part.name)

    def keys(self, part: Part) -> list[bytes]:
        """The keys of a part, in the order they are done: by source, then by key."""
        rows = read_file(self._path(part.file), PLAN_KEYS)
        return rows.filter(pc.equal(rows["part"], part.name))["key"].to_pylist()

    def key_files(self) -> Iterator[tuple[int, AnyPath]]:
        """(epoch, Parquet file of keys) for every bucket."""
        for epoch in self.epochs():
            for name in sorted({part.file for group in epoch.parts.values() for part in group}):
                yield epoch.number, self._path(name)

    def extend(self, wanted: Wanted, part_size: int) -> list[Part]:
        """Plan the wanted keys that no epoch has planned yet, in parts of at most `part_size` keys.

        Returns every part, old or new, that holds a wanted key, by name.
        """
        while True:
            epochs = self.epochs()
            found, new = self._write_keys(epochs, wanted, part_size)
            if not new or self._commit(len(epochs), new):
                return sorted(found + new, key=lambda part: part.name)

    def sizes(self, wanted: Wanted) -> Iterator[tuple[dict[str, int], int]]:
        """For each bucket: planned part -> how many wanted keys it holds; and how many are not planned yet."""
        epochs = self.epochs()
        for bucket in wanted.buckets():
            rows = wanted.of(bucket)
            known = self._known(epochs, bucket)
            held = [
                keys.filter(pc.is_in(keys["key"], rows["key"]))["part"].value_counts().to_pylist() for keys in known
            ]
            counts = {entry["values"]: entry["counts"] for group in held for entry in group}
            yield counts, len(rows) - sum(counts.values())

    def _known(self, epochs: list[Epoch], bucket: int) -> list[pa.Table]:
        names = sorted({part.file for epoch in epochs for part in epoch.parts.get(bucket, [])})
        return [read_file(self._path(name), PLAN_KEYS) for name in names]

    def _write_keys(self, epochs: list[Epoch], wanted: Wanted, size: int) -> tuple[list[Part], list[Part]]:
        """Write the keys of one more epoch; the planned parts that are wanted too, and the new ones."""
        found: list[Part] = []
        new: list[Part] = []
        for bucket in wanted.buckets():
            rows = wanted.of(bucket)
            planned = [part for epoch in epochs for part in epoch.parts.get(bucket, [])]
            known = self._known(epochs, bucket)
            found += _holding(known, rows, planned)
            fresh = _fresh(known, rows)
            if len(fresh):
                named, keys = _slice(bucket, fresh, size)
                file = f"b{bucket:04x}-{digest(*(part.name for part in named)).hex()[:16]}"
                publish(self._path(file), partial(pq.write_table, keys))
                new += [replace(part, file=file) for part in named]
        return found, new

    def _commit(self, number: int, new: list[Part]) -> bool:
        rows = [{"part": p.name, "bucket": p.bucket, "count": p.count, "file": p.file} for p in new]
        table = pa.Table.from_pylist(rows, schema=PLAN_PARTS)
        return publish(self.folder / f"epoch-{number:05d}.parquet", partial(pq.write_table, table))

    def _path(self, file: str) -> AnyPath:
        return self.folder / "keys" / f"{file}.parquet"


def _epoch(number: int, path: AnyPath) -> Epoch:
    rows = read_file(path, PLAN_PARTS).to_pylist()
    by_bucket: dict[int, list[Part]] = {}
    for row in rows:
        by_bucket.setdefault(row["bucket"], []).append(Part(row["part"], row["bucket"], row["count"], row["file"]))
    return Epoch(number, by_bucket)


def _holding(known: list[pa.Table], wanted: pa.Table, planned: list[Part]) -> list[Part]:
    """The planned parts of a bucket that hold a wanted key."""
    hits = [rows.filter(pc.is_in(rows["key"], wanted["key"]))["part"].unique().to_pylist() for rows in known]
    names = {name for group in hits for name in group}
    return [part for part in planned if part.name in names]


def _fresh(known: list[pa.Table], wanted: pa.Table) -> pa.Table:
    """The wanted rows that no epoch has, each once, by (place, key)."""
    for rows in known:
        wanted = wanted.filter(pc.invert(pc.is_in(wanted["key"], rows["key"])))
    order = np.lexsort((_words(wanted["key"]), _words(wanted["place"]))) if len(wanted) else np.zeros(0, np.int64)
    return wanted.take(pa.array(order))


def _words(column: pa.ChunkedArray) -> np.ndarray:
    """16-byte ids as numpy strings of bytes, which sort like the ids: bytes are compared as unsigned."""
    joined = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    data = np.frombuffer(joined.buffers()[1], f"V{SIZE}")[joined.offset : joined.offset + len(joined)]
    return data.view(f"S{SIZE}")


def _slice(bucket: int, rows: pa.Table, size: int) -> tuple[list[Part], pa.Table]:
    """Groups of at most `size` keys, as even as can be, named by bucket, range and content; and their keys."""
    total, count = len(rows), -(-len(rows) // size)
    edges = [i * total // count for i in range(count + 1)]
    keys, places = rows["key"].combine_chunks(), rows["place"].combine_chunks()
    found, names = [], []
    for start, end in pairwise(edges):
        content = hashlib.blake2b(_raw(keys, start, end), digest_size=SIZE).digest()
        part = parts.name(bucket, places[start].as_py(), places[end - 1].as_py(), content)
        found.append(Part(part, bucket, end - start))
        names += [part] * (end - start)
    return found, pa.table({"key": keys, "part": pa.array(names).dictionary_encode().cast(pa.string())}, PLAN_KEYS)


def _raw(column: Any, start: int, end: int) -> memoryview:
    array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
    first = (array.offset + start) * SIZE
    return memoryview(array.buffers()[1])[first : first + (end - start) * SIZE]
