"""The work on one shard: encode its clips, pack them sorted, publish the tar, then its rows."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.errors import KlearError, MachineError, cause_of
from manifests.table import Table
from media.encode import EncodeRecipe, encode_clip
from pipeline.config import ShardSettings
from pipeline.engine.job import Rows
from pipeline.engine.plan import Part
from pipeline.jobs import tars
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store

AUDIO_RATE = 44_100


def encode_recipe(settings: ShardSettings) -> EncodeRecipe:
    """What decides the bytes of an encoded clip."""
    return EncodeRecipe(preset=settings.x264_preset, crf=settings.crf, box=settings.box, audio_rate=AUDIO_RATE)


@dataclass
class ShardWorker:
    """Writes shards. release: the rows of each shard. samples: the table whose recipe this is. folder: of the tars."""

    release: Table
    samples: Table
    folder: Path
    generation: str
    settings: ShardSettings
    store: Store = field(default_factory=Store)

    def rows(self, part: Part) -> Rows:
        """Encode, pack and publish one shard; its row and a row a sample."""
        members = self.release.read(parts=[part.name]).to_pylist()
        errors: dict[bytes, KlearError] = {}
        with tempfile.TemporaryDirectory(prefix="klear-shard-") as scratch:
            packed = self._encode(members, Path(scratch), errors)
            tars.write(self.folder / f"{part.name}.tar", packed)
        return self._indexed(part, members, errors)

    def blame(self, part: Part, error: KlearError, attempts: int) -> Rows:
        """A clip alone is never packed alone: shards that kill their worker are an error of the machine."""
        raise KlearError("shard:worker_died", f"{part.name}: {error.message}; free memory or disk, then run again")

    def _encode(
        self, members: list[dict[str, Any]], scratch: Path, errors: dict[bytes, KlearError]
    ) -> list[tars.Member]:
        packed: list[tars.Member] = []
        for row in members:
            name, path = row["clip_id"].hex(), scratch / f"{row['clip_id'].hex()}.mp4"
            try:
                encode_clip(clip_of(row, self.store), path, encode_recipe(self.settings))
            except MachineError:
                raise
            except Exception as error:  # one clip must not stop its shard
                errors[row["clip_id"]] = KlearError(*cause_of(error))
                continue
            packed += [(f"{name}.json", row["json"]), (f"{name}.mp4", path)]
        return packed

    def _indexed(self, part: Part, members: list[dict[str, Any]], errors: Mapping[bytes, KlearError]) -> Rows:
        path = self.folder / f"{part.name}.tar"
        places = tars.places(path)
        shard = {
            "generation": self.generation,
            "shard": path.name,
            "sha256": tars.sha256(path),
            "bytes": path.stat().st_size,
            "count": len(places),
            "recipe": self.samples.recipe,
        }
        rows = [self._sample(path.name, row, places, errors.get(row["clip_id"])) for row in members]
        return {"samples": rows, "shards": [shard]}

    def _sample(
        self, shard: str, row: Mapping[str, Any], places: Mapping[str, tars.Place], error: KlearError | None
    ) -> dict[str, Any]:
        place = places.get(row["clip_id"].hex())
        return {
            **{name: row[name] for name in ("clip_id", "source_id", "bucket", "split", "audio_class", "tasks")},
            "generation": self.generation,
            "shard": shard if place else None,
            "offset": place.offset if place else None,
            "size": place.size if place else None,
            "frames": row["frames"],
            "audio_samples": round(row["frames"] * row["fps_den"] / row["fps_num"] * AUDIO_RATE),
            "text_bytes": row["text_bytes"],
            "recipe": self.samples.recipe,
            "status": "quarantined" if error else "ok",
            "error_stage": "encode" if error else None,
            "error_code": error.code if error else None,
            "error_message": error.message if error else None,
            "attempts": 1,
        }
