"""The work on one shard: decode its clips, encode picture, sound and texts, publish the latents, then their rows."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from manifests.errors import KlearError, cause_of
from manifests.schema import ID, STATUS
from manifests.table import Table
from pipeline.engine.job import Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import timed
from pipeline.jobs import tars
from trainer.data.encode_settings import EncodeSettings
from trainer.data.encoder import FIDELITY, Encoder
from trainer.data.shards import Member, samples

LATENTS = "latents.safetensors"
MEMBERS = "_members"
"""An entry of Rows that is no table: files of a sample, for the tar."""
INFO = {
    "split": pa.string(),
    "audio_class": pa.string(),
    "tasks": pa.list_(pa.string()),
    "video": pa.list_(pa.int64()),
    "audio": pa.int64(),
    "video_text": pa.int64(),
    "audio_text": pa.int64(),
    "speech": pa.int64(),
    "seconds": pa.float64(),
    "offset": pa.int64(),
    "size": pa.int64(),
}
"""What the index says of a sample, beside its key and shard: `SampleInfo`, and its place in the tar."""

SCHEMA = pa.schema(
    [
        pa.field("clip_id", ID, False),
        pa.field("shard", pa.string(), False),
        *[pa.field(name, kind) for name, kind in INFO.items()],
        pa.field("lufs", pa.float64()),
        pa.field("gain_db", pa.float64()),
        *[pa.field(name, pa.float64()) for name in FIDELITY],  # NULL: not measured
        pa.field("recipe", pa.string(), False),
        *STATUS,  # status: ok | too_short | ineligible (too small for every class) | quarantined
    ]
)


@dataclass
class EncodeWorker:
    """Encodes shards. table: what it commits to. source: folder of the shards. folder: where latents go."""

    table: Table
    source: Path
    folder: Path
    settings: EncodeSettings

    def keys(self, part: Part) -> Sequence[bytes]:
        """Samples of the shard, in the order in which they lie in it."""
        return [bytes.fromhex(key) for key in samples(self.source / f"{part.name}.tar")]

    @contextmanager
    def open(self, part: Part) -> Iterator[None]:
        """Nothing to hold."""
        yield

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The row of each sample and the members that hold its latents. Damaged samples become rows."""
        torch.set_num_threads(1)  # the pool is the parallelism, and one thread gives the same bits every time
        found = samples(self.source / f"{part.name}.tar")
        for key in keys:
            yield timed("encode", self._one, part, key.hex(), found[key.hex()])

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """The quarantined row of a sample that ends its process."""
        return {self.table.name: [self._row(part, key.hex()) | _failed(error) | {"attempts": attempts}]}

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """Publish the latents of the shard; a row for each of its samples, with its place."""
        path = self.folder / f"{part.name}.tar"
        tars.write(path, [(m["name"], m["data"]) for rows in done.values() for m in rows.get(MEMBERS, [])])
        return {self.table.name: _placed(path, [row for rows in done.values() for row in rows[self.table.name]])}

    def _row(self, part: Part, key: str) -> dict[str, Any]:
        return {"clip_id": bytes.fromhex(key), "shard": f"{part.name}.tar", "recipe": self.table.recipe}

    def _one(self, part: Part, key: str, members: dict[str, Member]) -> dict[str, list[Any]]:
        row = self._row(part, key)
        try:
            described = json.loads(_member(members, "json").read())
            encoded = self._encoder.encode(described, _member(members, "mp4").read())
            tensors = self._encoder.stored(encoded.tensors)
            facts = {"lufs": encoded.lufs, "gain_db": encoded.gain_db, "seconds": encoded.media.seconds}
            facts |= self._encoder.fidelity(key, encoded.media, tensors)
        except Exception as error:
            return {self.table.name: [row | _failed(error)]}
        packed = [{"name": f"{key}.json", "data": _dump(described | {"encoded": facts})}]
        packed.append({"name": f"{key}.{LATENTS}", "data": _save(tensors)})
        told = row | _info(described, tensors) | facts | {"status": "ok", "attempts": 1}
        return {self.table.name: [told], MEMBERS: packed}

    @cached_property
    def _encoder(self) -> Encoder:
        return Encoder(self.settings)


def _member(members: dict[str, Member], kind: str) -> Member:
    if kind not in members:
        raise KlearError("encode:member", f"the sample has no .{kind}, only {sorted(members)}")
    return members[kind]


def _failed(error: Exception) -> dict[str, Any]:
    code, message = cause_of(error)
    status = {"media:too_short": "too_short", "media:too_small": "ineligible"}.get(code, "quarantined")
    failure = {"error_stage": "encode", "error_code": code, "error_message": message}
    return {"status": status, "attempts": 1, **failure}


def _info(described: dict[str, Any], tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    lengths = {name: len(tensors[name]) for name in ("audio", "video_text", "audio_text", "speech")}
    known = {name: described[name] for name in ("split", "audio_class", "tasks")}
    return {**known, **lengths, "video": list(tensors["video"].shape[:3])}


def _placed(path: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their latents' place, read back from the tar on disk: the index never says more than the file."""
    found = samples(path)
    places = {key: members[LATENTS] for key, members in found.items()}
    return [row | _place(places.get(row["clip_id"].hex())) for row in rows]


def _place(member: Member | None) -> dict[str, int]:
    return {"offset": member.offset, "size": member.size} if member else {}


def _save(tensors: dict[str, torch.Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in tensors.items()})


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
