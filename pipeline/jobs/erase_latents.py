"""Erase latents: what the trainer made of clips that are taken down, out of OUT/latents.

Tars first, then the table, then the index: while one of the two names a clip that is gone, the work is not done.
The channel statistics stay as they were fitted: they are sums over many clips, and give back none of them.
"""

import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files
from manifests.catalog import Catalog
from manifests.table import Table
from pipeline.jobs import tars
from pipeline.jobs.erase import Gone

INDEX = "index.parquet"
Places = dict[str, dict[str, tuple[int, int]]]
"""Tar -> sample -> offset and size of its latents."""


def erase(catalog: Catalog, gone: Gone) -> list[str]:
    """Rewrite every set of latents that holds what is gone; their names. Latents are kept on disks only."""
    root = catalog.out / "latents"
    if not files.is_local(root) or not files.folders(root) or not (keys := {key.hex() for key in gone.all()}):
        return []
    return [name for name in files.folders(root) if _set(catalog, root / name, keys)]


def _set(catalog: Catalog, folder: Path, keys: set[str]) -> bool:
    parts = Table(catalog.root, "latents", folder.name, pa.schema([])).all_places()
    schema = next((pq.read_schema(place.path) for place in parts.values()), pa.schema([]))
    table = Table(catalog.root, "latents", folder.name, schema)
    rows = {part: table.read_part(part) for part in parts}
    index = pq.read_table(folder / INDEX) if (folder / INDEX).is_file() else None
    named = {row["shard"] for held in rows.values() for row in held.to_pylist() if row["clip_id"].hex() in keys}
    named |= {row["shard"] for row in index.to_pylist() if row["key"] in keys} if index is not None else set()
    for name in (name for name in files.names(folder) if name.endswith(".tar")):
        if name.removesuffix(".tar") not in parts:
            files.remove(folder / name)  # not committed: it is written again, from the shard as it is now
    places = {name: _rewritten(folder / name, keys) for name in named}
    for part, held in rows.items():
        kept = [row for row in held.to_pylist() if row["clip_id"].hex() not in keys]
        if named & set(held["shard"].to_pylist()):
            table.revise(part, [_placed(row, row["clip_id"].hex(), places) for row in kept])
    if index is not None and named:
        left = [_placed(row, row["key"], places) for row in index.to_pylist() if row["key"] not in keys]
        files.replace(folder / INDEX, partial(pq.write_table, pa.Table.from_pylist(left, schema=index.schema)))
    return bool(named)


def _rewritten(path: Path, keys: set[str]) -> dict[str, tuple[int, int]]:
    tars.rewrite(path, lambda name: name.partition(".")[0] not in keys)
    with tarfile.open(path) as tar:
        found = [(info.name.partition("."), info.offset_data, info.size) for info in tar]
    return {key: (offset, size) for (key, _, kind), offset, size in found if kind.endswith("safetensors")}


def _placed(row: dict[str, Any], key: str, places: Places) -> dict[str, Any]:
    offset, size = places.get(row["shard"], {}).get(key, (row["offset"], row["size"]))
    return row | {"offset": offset, "size": size}
