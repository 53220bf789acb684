"""The work on one shard: describe its clips, copy or encode them, pack them sorted, publish the tar, then its rows."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests import files
from manifests.errors import KlearError, MachineError, cause_of
from manifests.files import AnyPath
from manifests.table import Table
from media.encode import encode_bytes
from pipeline.config import ShardSettings
from pipeline.engine.job import MOVED, TIMINGS, Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import Stopwatch
from pipeline.jobs import tars
from pipeline.jobs.describe import Described, Describer
from pipeline.jobs.encoded import AUDIO_RATE, Release, Stored, encode_recipe
from pipeline.sources import locks
from pipeline.sources.ahead import Sources, fetching
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store

COPY, ENCODE = "copy", "encode"
"""How a sample came by its MP4: the names under which its seconds are counted."""
_LOCK = "lock"
_OF_CLIP = ("clip_id", "source_id", "bucket", "audio_class", "tasks", "frames")
MEMBERS = "_members"
"""An entry of Rows that is no table: the sample's JSON, and the file of its MP4."""


@dataclass
class ShardWorker:
    """Writes shards. release: the clips of each shard. samples: the table whose recipe this is. folder: of the tars.

    earlier: generations whose encoded clips may be copied, the newest first. rebuild: put shards in the place of those
    that are there (of the same clips, less some that could not be encoded then).
    """

    release: Table
    samples: Table
    folder: AnyPath
    generation: str
    settings: ShardSettings
    describer: Describer
    store: Store = field(default_factory=Store)
    earlier: tuple[Release, ...] = ()
    rebuild: bool = False

    def keys(self, part: Part) -> Sequence[bytes]:
        """Clips of the shard, in the order in which they lie in it."""
        return self.release.read_part(part.name)["clip_id"].to_pylist()

    @contextmanager
    def open(self, part: Part) -> Iterator[None]:
        """A folder on this machine for the encoded clips, until the tar is published."""
        _sweep()
        folder = _scratch(os.getpid())
        with locks.held(folder / _LOCK):
            try:
                yield
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The samples row of each clip, and its members. One clip must not stop its shard: its error becomes a row."""
        folder = _scratch(os.getppid())  # of the actor, whose hand this is
        described, stored = self._described(part, keys), self._stored(part, keys)
        with fetching(self.store, (described[key].clip for key in keys if key not in stored)) as sources:
            for key in keys:
                with Stopwatch() as watch:
                    data = stored[key].mp4(key) if key in stored else None
                    rows = self._sample(described[key], sources, folder / f"{key.hex()}.mp4", data)
                    watch.lap(COPY if data else ENCODE)
                yield {**rows, TIMINGS: watch.rows()}

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """The quarantined row of a clip whose encoding kills its process."""
        return {"samples": [self._row(self._described(part, [key])[key], error, attempts)]}

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """Pack and publish the tar; the rows of the shard and of its samples, with their places in it."""
        path = self.folder / f"{part.name}.tar"
        members = members_of(done)
        packed = (tars.repack if self.rebuild else tars.pack)(path, members)
        shard = {
            "generation": self.generation,
            "shard": path.name,
            "sha256": packed.sha256,
            "bytes": packed.bytes,
            "count": len(packed.places),
            **fields_of(members),
            "recipe": self.samples.recipe,
        }
        samples = [placed(row, path.name, packed.places) for key in sorted(done) for row in done[key]["samples"]]
        return {"samples": samples, "shards": [shard], MOVED: [{"kind": "written", "bytes": packed.bytes}]}

    def _stored(self, part: Part, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        """Clips that an earlier generation holds."""
        found: dict[bytes, Stored] = {}
        for release in self.earlier:
            left = [key for key in keys if key not in found]
            found |= release.holding(part, self.settings.shards, left) if left else {}
        return found

    def _described(self, part: Part, keys: Sequence[bytes]) -> dict[bytes, Described]:
        rows = {row["clip_id"]: row["bucket"] for row in self.release.read_part(part.name).to_pylist()}
        found: dict[bytes, Described] = {}
        for bucket in sorted({rows[key] for key in keys}):
            found |= self.describer.of(bucket, [key for key in keys if rows[key] == bucket])
        return found

    def _sample(self, told: Described, sources: Sources, path: Path, copied: bytes | None) -> Rows:
        try:
            data = copied or encode_bytes(clip_of(told.clip, sources), encode_recipe(self.settings))
        except MachineError:
            raise
        except Exception as error:
            return {"samples": [self._row(told, KlearError(*cause_of(error)))]}
        files.again(lambda: path.write_bytes(data), path)
        name = path.stem
        members: list[dict[str, Any]] = [{"name": f"{name}.json", "data": told.json}]
        members.append({"name": f"{name}.mp4", "data": path})
        row = self._row(told) | {"mp4_sha256": hashlib.sha256(data).hexdigest()}
        return {"samples": [row], MEMBERS: members}

    def _row(self, told: Described, error: KlearError | None = None, attempts: int = 1) -> dict[str, Any]:
        clip = told.clip
        return {
            **{name: clip[name] for name in _OF_CLIP},
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


def members_of(done: Mapping[bytes, Rows]) -> list[tars.Member]:
    """The members of a tar of these clips, sorted."""
    return [(m["name"], m["data"]) for key in sorted(done) for m in done[key].get(MEMBERS, [])]


def placed(row: dict[str, Any], shard: str, places: Mapping[str, tars.Place]) -> dict[str, Any]:
    """A samples row with its place in its shard; without one when the shard does not hold it."""
    place = places.get(row["clip_id"].hex())
    return row | {
        "shard": shard if place else None,
        "offset": place.offset if place else None,
        "size": place.size if place else None,
    }


def fields_of(members: Sequence[tars.Member]) -> dict[str, list[str]]:
    """What the JSON of a sample holds, by the first one."""
    first = next((data for _, data in members if isinstance(data, bytes)), b'{"texts": {}}')
    about = json.loads(first)
    return {"fields": sorted(about), "texts": list(about["texts"])}


def _scratch(actor: int) -> Path:
    """The folder of one actor: it holds the encoded clips of the shard at hand, so one shard a worker."""
    return _root() / str(actor)


def _sweep() -> None:
    """Remove what workers that were killed left behind: folders whose lock nobody holds."""
    for folder in _root().glob("*"):
        with suppress(OSError):
            lock = locks.take(folder / _LOCK, wait=False)
            if lock is not None:
                shutil.rmtree(folder, ignore_errors=True)
                os.close(lock)


def _root() -> Path:
    return Path(tempfile.gettempdir()) / f"klear-shards-{os.getuid()}"
