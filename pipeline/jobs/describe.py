"""Describe: all that the tables say of some clips, as the JSON of their samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from manifests.catalog import Catalog
from manifests.query import connect, register, rows
from manifests.schema import ID
from manifests.table import Table
from pipeline import stages
from pipeline.config import ShardSettings
from pipeline.jobs import sample
from pipeline.stages import StageRef


@dataclass(frozen=True)
class Described:
    """A clip's row, and what its sample says: `text_bytes` of its texts, and the JSON itself."""

    clip: Mapping[str, Any]
    split: str
    text_bytes: int
    json: bytes


@dataclass(frozen=True)
class Describer:
    """refs: the stages whose columns are told. tables: where their rows lie."""

    catalog: Catalog
    refs: tuple[StageRef, ...]
    tables: Mapping[str, Table]
    settings: ShardSettings

    def of(self, bucket: int, keys: Sequence[bytes]) -> dict[bytes, Described]:
        """Clips of one bucket, described."""
        con = connect(self.catalog, bucket)
        for table in self.tables.values():
            register(con, table, bucket=bucket)
        con.register("asked", pa.table({"clip_id": pa.array(keys, ID)}))
        columns = [(name, c) for name in self.tables for c in stages.told(stages.make(self._ref(name)))]
        told = "".join(f', "{name}"."{c}" AS "{name}.{c}"' for name, c in columns)
        joins = "".join(f' LEFT JOIN "{name}" ON "{name}".clip_id = c.clip_id' for name in self.tables)
        found = rows(
            con,
            f"SELECT c.*, s.licence, s.attribution, s.url, s.extra, v.audio_class, v.tasks {told} FROM asked "
            f"JOIN clips c USING (clip_id) JOIN verdicts v ON v.clip_id = c.clip_id "
            f"JOIN sources s ON s.source_id = c.source_id AND s.outcome = 'ok' {joins}",
        )
        return {clip["clip_id"]: self._described(clip) for clip in found}

    def _ref(self, name: str) -> StageRef:
        return next(ref for ref in self.refs if ref.name == name)

    def _described(self, clip: dict[str, Any]) -> Described:
        split = sample.split_of(clip["source_id"], self.settings.val, self.settings.test)
        told = sample.describe(clip, split, {name: table.recipe for name, table in self.tables.items()})
        clip["audio_class"] = told["audio_class"]
        size = sum(len(told["texts"][name].encode()) for name in ("audio", "speech", "video"))
        return Described(clip, split, size, sample.dump(told))
