"""Encoded members: what decides their bytes, and where earlier generations hold them, to be copied from there."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version

import pyarrow as pa
import pyarrow.compute as pc

from manifests import files
from manifests.errors import KlearError
from manifests.files import AnyPath
from manifests.ids import recipe
from manifests.schema import ID
from manifests.table import Table
from media import encode
from media.encode import EncodeRecipe
from pipeline.config import ShardSettings
from pipeline.engine.plan import Part
from pipeline.jobs import tars

AUDIO_RATE = 44_100
_COLUMNS = ["clip_id", "shard", "offset", "size", "mp4_sha256"]


def encode_recipe(settings: ShardSettings) -> EncodeRecipe:
    """How clips are encoded."""
    return EncodeRecipe(
        encoder=settings.encoder,
        preset=settings.x264_preset,
        crf=settings.crf,
        box=settings.box,
        audio_rate=AUDIO_RATE,
    )


def encoding(settings: ShardSettings) -> str:
    """What decides the bytes of an encoded clip, beside the clip: our code, the options, the ffmpeg binary."""
    binary = version("imageio-ffmpeg")
    return recipe("encode", encode.VERSION, binary, asdict(encode_recipe(settings)), {})


@dataclass(frozen=True)
class Stored:
    """A sample in a shard: `size` bytes from `offset` of `path`. sha256: of its MP4, in hex."""

    path: AnyPath
    offset: int
    size: int
    sha256: str

    def mp4(self, key: bytes) -> bytes | None:
        """The MP4 of the sample, None when the shard does not hold it as its index says."""
        try:
            data = tars.member(files.read_range(self.path, self.offset, self.size), f"{key.hex()}.mp4")
        except (OSError, KlearError):
            return None
        return data if data is not None and hashlib.sha256(data).hexdigest() == self.sha256 else None


@dataclass(frozen=True)
class Release:
    """An earlier generation whose clips were encoded alike: its samples, the folder of its shards and their number."""

    samples: Table
    folder: AnyPath
    shards: int

    def holding(self, part: Part, shards: int, keys: Sequence[bytes]) -> dict[bytes, Stored]:
        """Where it holds these clips of a shard out of `shards`: shards are stretches of ids, so few of its overlap."""
        found: dict[bytes, Stored] = {}
        first, last = part.bucket * self.shards // shards, -(-(part.bucket + 1) * self.shards // shards)
        published = self.samples.places(None)
        for name in (f"shard-{number:05d}" for number in range(first, last)):
            if name in published:
                rows = self.samples.read_part(name).select(_COLUMNS)
                wanted = rows.filter(pc.is_in(rows["clip_id"], pa.array(keys, ID))).to_pylist()
                found |= {row["clip_id"]: self._stored(row) for row in wanted if row["shard"] and row["mp4_sha256"]}
        return found

    def _stored(self, row: dict) -> Stored:
        return Stored(self.folder / row["shard"], row["offset"], row["size"], row["mp4_sha256"])
