"""Erase: take the members of clips out of tars in place, and out of the tables that say where they lie.

A tar is replaced in one step, then its rows are superseded; the release (which clip goes to which shard) comes last, so
an erasure that was killed is found again, wherever it stood, and done to the end.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pyarrow as pa

from manifests import files
from manifests.catalog import Catalog
from manifests.query import connect
from manifests.schema import RELEASE, SAMPLES, SHARDS
from manifests.table import Table
from manifests.takedowns import TAKEN_CLIPS, clip_tables
from pipeline.jobs import generation, tars
from pipeline.jobs.shard_work import fields_of, placed

WORKERS = 4
"""Tars that are rewritten at a time: mostly waiting for the store."""


@dataclass
class Gone:
    """The clips that are taken down, whatever recipe cut them; known a bucket at a time."""

    catalog: Catalog
    _known: dict[int, frozenset[bytes]] = field(default_factory=dict)

    def buckets(self) -> list[int]:
        """Buckets with something taken down."""
        taken = self.catalog.current("taken")
        return [] if taken is None else [number for number in taken.buckets() if number is not None]

    def of(self, bucket: int) -> frozenset[bytes]:
        """Ids of the clips of a bucket that are taken down."""
        if bucket not in self._known:
            self._known[bucket] = frozenset(self._asked(bucket))
        return self._known[bucket]

    def all(self) -> frozenset[bytes]:
        """Ids of all clips that are taken down."""
        return frozenset().union(*(self.of(bucket) for bucket in self.buckets()))

    def _asked(self, bucket: int) -> Iterator[bytes]:
        taken = self.catalog.current("taken")
        if taken is None or bucket not in taken.buckets():
            return
        con = connect(self.catalog, bucket)
        con.register("taken_here", taken.read_bucket(bucket))
        sql = TAKEN_CLIPS.replace("JOIN taken t", "JOIN taken_here t")
        for table in clip_tables(self.catalog):
            rows = table.read_bucket(bucket, ["clip_id", "source_id", "start_us", "end_us"])
            con.register("clips_here", rows)
            yield from (key for (key,) in con.execute(sql.replace("all_clips", "clips_here")).fetchall())


def shards(catalog: Catalog, gone: Gone) -> dict[str, list[str]]:
    """Rewrite the shards of every generation that hold what is gone; generation -> names of those that were."""
    done: dict[str, list[str]] = {}
    for release in generation.listed(catalog.out / "shards"):
        planned = catalog.table("release", release.recipe, RELEASE)
        parts = {part: keys for part in planned.places(None) if (keys := keys_in(planned.read_part(part), gone))}
        rewrite = partial(_shard, catalog, release, planned)
        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(rewrite, parts, parts.values()))
        if parts:
            done[release.name] = sorted(parts)
    return done


def keys_in(rows: pa.Table, gone: Gone) -> frozenset[bytes]:
    """Clips of these rows (with clip_id and bucket) that are gone."""
    here = set(rows["bucket"].unique().to_pylist()) & set(gone.buckets())
    ids = frozenset().union(*(gone.of(bucket) for bucket in here)) if here else frozenset()
    return frozenset(rows["clip_id"].to_pylist()) & ids if ids else ids


def _shard(catalog: Catalog, release: generation.Generation, planned: Table, part: str, keys: frozenset[bytes]) -> None:
    """One shard without these clips: the tar, its row, the rows of its samples, then its plan."""
    path = catalog.out / "shards" / release.name / f"{part}.tar"
    samples = catalog.table("samples", release.recipe, SAMPLES)
    listed = catalog.table("shards", release.recipe, SHARDS)
    if packed := tar(path, keys):
        places = packed.places
        told = {"sha256": packed.sha256, "bytes": packed.bytes, "count": len(places)}
        told |= {} if places else fields_of([])
        if listed.has(part):
            listed.amend(part, lambda rows: [row | told for row in rows.to_pylist()])
        if samples.has(part):
            samples.amend(part, lambda rows: [placed(row, path.name, places) for row in _without(rows, keys)])
    planned.amend(part, lambda rows: _without(rows, keys))


def _without(rows: pa.Table, keys: frozenset[bytes]) -> list[dict[str, Any]]:
    return [row for row in rows.to_pylist() if row["clip_id"] not in keys]


def tar(path: files.AnyPath, keys: frozenset[bytes]) -> tars.Packed | None:
    """Rewrite one tar without the members of these samples; what it holds then, None when there is no such tar."""
    if not files.exists(path):
        return None
    hexes = {key.hex() for key in keys}
    return tars.rewrite(path, lambda name: name.partition(".")[0] not in hexes)


def kept_files(catalog: Catalog, gone: Gone) -> int:
    """Rewrite the tars of files that stages keep (stems) beside their tables; how many held something."""
    count = 0
    for name in (name for name in files.folders(catalog.root) if "." in name):
        for recipe in files.folders(catalog.root / name):
            for bucket in gone.buckets():
                folder = catalog.root / name / recipe / f"b{bucket:04x}"
                found = [folder / entry for entry in files.names(folder) if entry.endswith(".tar")]
                count += sum(_erased(path, gone.of(bucket)) for path in found)
    return count


def _erased(path: files.AnyPath, keys: frozenset[bytes]) -> bool:
    held = tars.read_back(path).places
    if not keys & {bytes.fromhex(key) for key in held}:
        return False
    tar(path, keys)
    return True
