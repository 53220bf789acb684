"""Mend: tars of a generation that are gone are made once more, with the bytes that they had, or not at all.

Their rows stay: others read them while this runs, and what was trained on a shard must be what it holds.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from manifests import files
from manifests.errors import KlearError
from manifests.files import AnyPath
from manifests.ids import digest
from manifests.table import Table
from pipeline.context import Context
from pipeline.engine.job import Rows
from pipeline.engine.plan import Part
from pipeline.jobs import tars
from pipeline.jobs.shard_work import ShardWorker, members_of
from pipeline.work import OnEvent

MENDED = pa.schema([pa.field("shard", pa.string(), False), pa.field("problem", pa.string(), False)])
"""A row for each tar that could not be made as it was; of those that were, the parts are all there is to say."""


@dataclass
class MendWorker(ShardWorker):
    """Makes tars again. shards: rows of the generation's tars, with the digest that each must have."""

    shards: Table = field(kw_only=True)

    def keys(self, part: Part) -> Sequence[bytes]:
        """Clips that were in the tar: not those that could not be encoded then, though they may be now."""
        return [row["clip_id"] for row in self.samples.read_part(part.name).to_pylist() if row["shard"] is not None]

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """Publish the tar if it is what it was; else say why it is not."""
        bad = [row for key in sorted(done) for row in done[key]["samples"] if row["status"] != "ok"]
        if bad:
            return self._told(part, _of_clip(bad[0]) + (f" (and {len(bad) - 1} more)" if bad[1:] else ""))
        (told,) = self.shards.read_part(part.name).to_pylist()
        members = members_of(done)
        if (sha256 := tars.digest(members)) != told["sha256"]:
            return self._told(part, f"its sha256 would be {sha256}, not {told['sha256']}")
        tars.write(self.folder / f"{part.name}.tar", members)
        return {}

    def _told(self, part: Part, problem: str) -> Rows:
        return {"mended": [{"shard": f"{part.name}.tar", "problem": problem}]}


def _of_clip(row: Mapping[str, Any]) -> str:
    return f"clip {row['clip_id'].hex()}: {row['error_code']}: {row['error_message']}"


def lost(folder: AnyPath, tables: list[Table], parts: list[Part]) -> list[Part]:
    """Parts that are committed and whose tar is gone: someone removed it, perhaps because it was damaged."""
    there = set(files.names(folder))
    committed = set.intersection(*(table.published() for table in tables))
    return [part for part in parts if part.name in committed and f"{part.name}.tar" not in there]


def run(context: Context, worker: MendWorker, parts: list[Part], on_event: OnEvent) -> int:
    """Make the tars of these parts again; the clips done.

    Raises KlearError `shard:lost`, after all that can be mended is, when one of them cannot be made as it was.
    """
    recipe = digest(worker.samples.recipe, time.time_ns()).hex()
    mended = context.catalog.table("mended", recipe, MENDED)
    done = context.work_off("shard.mended", [mended], worker, parts, "clips", on_event=on_event)
    if left := lost(worker.folder, [worker.samples], parts):
        why = {row["shard"]: row["problem"] for row in mended.read().to_pylist()}
        names = [f"{part.name}.tar" for part in left]
        said = "; ".join(f"{name}: {why.get(name, 'not tried, after too many errors')}" for name in names[:5])
        raise KlearError(
            "shard:lost",
            f"{len(left)} shards of {worker.generation} are gone and cannot be made as they were: {said}. Bring back "
            f"the sources, or a copy of the tars; `klear takedown` gives up sources that are gone for good",
        )
    return done
