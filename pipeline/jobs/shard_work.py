"""The work on one shard: describe and encode its clips, pack them sorted, publish the tar, then its rows."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.errors import KlearError, MachineError, cause_of
from manifests.files import AnyPath
from manifests.table import Table
from media.encode import EncodeRecipe, encode_clip
from pipeline.config import ShardSettings
from pipeline.engine.job import MOVED, Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import timed
from pipeline.jobs import tars
from pipeline.jobs.describe import Described, Describer
from pipeline.sources.ahead import Sources, fetching
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store

AUDIO_RATE = 44_100
MEMBERS = "_members"
"""An entry of Rows that is no table: the sample's JSON, and the file of its MP4."""


def encode_recipe(settings: ShardSettings) -> EncodeRecipe:
    """What decides the bytes of an encoded clip."""
    return EncodeRecipe(preset=settings.x264_preset, crf=settings.crf, box=settings.box, audio_rate=AUDIO_RATE)


@dataclass
class ShardWorker:
    """Writes shards. release: the clips of each shard. samples: the table whose recipe this is. folder: of the tars."""

    release: Table
    samples: Table
    folder: AnyPath
    generation: str
    settings: ShardSettings
    describer: Describer
    store: Store = field(default_factory=Store)

    def keys(self, part: Part) -> Sequence[bytes]:
        """Clips of the shard, in the order in which they lie in it."""
        return self.release.read_part(part.name)["clip_id"].to_pylist()

    @contextmanager
    def open(self, part: Part) -> Iterator[None]:
        """A folder on this machine for the encoded clips, until the tar is published."""
        folder = _scratch(part, os.getpid())
        folder.mkdir(parents=True, exist_ok=True)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The samples row of each clip, and its members. One clip must not stop its shard: its error becomes a row."""
        folder = _scratch(part, os.getppid())  # of the actor, whose hand this is
        described = self._described(part, keys)
        with fetching(self.store, (described[key].clip for key in keys)) as sources:
            for key in keys:
                yield timed("encode", self._sample, described[key], sources, folder / f"{key.hex()}.mp4")

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """The quarantined row of a clip whose encoding kills its process."""
        return {"samples": [self._row(self._described(part, [key])[key], error, attempts)]}

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """Pack and publish the tar; the rows of the shard and of its samples, with their places in it."""
        path = self.folder / f"{part.name}.tar"
        members = [(m["name"], m["data"]) for key in sorted(done) for m in done[key].get(MEMBERS, [])]
        tars.write(path, members)
        packed = tars.read_back(path)
        shard = {
            "generation": self.generation,
            "shard": path.name,
            "sha256": packed.sha256,
            "bytes": packed.bytes,
            "count": len(packed.places),
            **_fields(members),
            "recipe": self.samples.recipe,
        }
        samples = [self._placed(row, path.name, packed.places) for key in sorted(done) for row in done[key]["samples"]]
        return {"samples": samples, "shards": [shard], MOVED: [{"kind": "written", "bytes": packed.bytes}]}

    def _described(self, part: Part, keys: Sequence[bytes]) -> dict[bytes, Described]:
        rows = {row["clip_id"]: row["bucket"] for row in self.release.read_part(part.name).to_pylist()}
        found: dict[bytes, Described] = {}
        for bucket in sorted({rows[key] for key in keys}):
            found |= self.describer.of(bucket, [key for key in keys if rows[key] == bucket])
        return found

    def _sample(self, told: Described, sources: Sources, path: Path) -> Rows:
        try:
            encode_clip(clip_of(told.clip, sources), path, encode_recipe(self.settings))
        except MachineError:
            raise
        except Exception as error:
            return {"samples": [self._row(told, KlearError(*cause_of(error)))]}
        name = path.stem
        members: list[dict[str, Any]] = [{"name": f"{name}.json", "data": told.json}]
        members.append({"name": f"{name}.mp4", "data": path})
        return {"samples": [self._row(told)], MEMBERS: members}

    def _row(self, told: Described, error: KlearError | None = None, attempts: int = 1) -> dict[str, Any]:
        clip = told.clip
        return {
            **{name: clip[name] for name in ("clip_id", "source_id", "bucket", "audio_class", "tasks", "frames")},
            "split": told.split,
            "generation": self.generation,
            "audio_samples": round(clip["frames"] * clip["fps_den"] / clip["fps_num"] * AUDIO_RATE),
            "text_bytes": told.text_bytes,
            "recipe": self.samples.recipe,
            "status": "quarantined" if error else "ok",
            "error_stage": "encode" if error else None,
            "error_code": error.code if error else None,
            "error_message": error.message if error else None,
            "attempts": attempts,
        }

    def _placed(self, row: dict[str, Any], shard: str, places: Mapping[str, tars.Place]) -> dict[str, Any]:
        place = places.get(row["clip_id"].hex())
        return row | {
            "shard": shard if place else None,
            "offset": place.offset if place else None,
            "size": place.size if place else None,
        }


def _fields(members: Sequence[tars.Member]) -> dict[str, list[str]]:
    """What the JSON of a sample holds, by the first one."""
    first = next((data for _, data in members if isinstance(data, bytes)), b'{"texts": {}}')
    about = json.loads(first)
    return {"fields": sorted(about), "texts": list(about["texts"])}


def _scratch(part: Part, actor: int) -> Path:
    return Path(tempfile.gettempdir()) / "klear-shards" / str(actor) / part.name
