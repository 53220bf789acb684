"""Made-up latents for `bench.loader`: plain WebDataset tars with an index, of small samples or of large ones."""

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from safetensors.torch import save

from manifests import files
from pipeline.jobs import tars
from trainer.codecs.stats import ChannelStats, Scaling, save_stats
from trainer.data.latents import INDEX, SETTINGS
from trainer.data.mixture import TASKS
from trainer.data.shards import samples

CLASSES = ("single_speech", "multi_speech", "singing", "music", "sound")


@dataclass(frozen=True)
class Kind:
    """A size of sample: shapes as stored in float16, how many a shard and in all, webdataset's buffer for
    them, and the knee of their companding (0: none, as for all codecs but dct and mdct)."""

    name: str
    video: tuple[int, int, int, int]
    audio: tuple[int, int]
    text: int
    shard: int
    count: int
    buffer: int
    bend: float


SMALL = Kind("small", (1, 1, 1, 128), (129, 320), 384, 400, 4000, 1000, 0.0)
"""3 s of sound, as logmel4 has it."""
LARGE = Kind("large", (16, 30, 52, 48), (215, 64), 384, 50, 400, 100, 0.0)
"""5 s of 832 x 480 in the latents of a 4 x 16 x 16 VAE."""


def make(folder: Path, kind: Kind) -> Path:
    """Write the set below `folder`, unless it is there; its folder."""
    folder = folder / kind.name
    if (folder / INDEX).exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    g, rows = torch.Generator().manual_seed(0), []
    for shard in range(kind.count // kind.shard):
        path = folder / f"shard-{shard:05d}.tar"
        keys = sorted(os.urandom(16).hex() for _ in range(kind.shard))
        tars.write(path, [member for key in keys for member in _members(key, kind, g)])
        rows += [_row(key, found["latents.safetensors"], kind) for key, found in samples(path).items()]
    latents = {"video": kind.video[-1], "audio": kind.audio[-1]}
    stats = {
        s: ChannelStats.fit(s, Scaling(kind.bend, 0.5), [torch.randn(500, c, generator=g)]) for s, c in latents.items()
    }
    save_stats(folder, stats)
    (folder / SETTINGS).write_text(json.dumps({"video_codec": "dct", "audio_codec": "logmel4"}))
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: row["key"]))
    files.replace(folder / INDEX, partial(pq.write_table, table))
    return folder


def _members(key: str, kind: Kind, g: torch.Generator) -> list[tars.Member]:
    shapes = {"video": kind.video, "audio": kind.audio, "video_text": (40, kind.text), "audio_text": (24, kind.text)}
    tensors = {name: torch.randn(shape, generator=g).half() for name, shape in shapes.items()}
    tensors["speech"] = torch.zeros(60, dtype=torch.uint8)
    text = json.dumps({"clip_id": key, "texts": {"video": "a caption " * 20, "audio": "a sound " * 12}})
    return [(f"{key}.json", text.encode()), (f"{key}.latents.safetensors", save(tensors))]


def _row(key: str, member, kind: Kind) -> dict[str, object]:  # type: ignore[no-untyped-def]
    lengths = {"audio": kind.audio[0], "video_text": 40, "audio_text": 24, "speech": 60}
    place = {"shard": member.path.name, "offset": member.offset, "size": member.size}
    named = {"key": key, "split": "train", "audio_class": CLASSES[int(key[:4], 16) % 5], "tasks": list(TASKS)}
    return {**named, **lengths, **place, "video": list(kind.video[:3]), "seconds": 3.0}


def made_up(path: Path, count: int) -> None:
    """An index of `count` samples that do not exist, of five classes, as `encode` would write it."""
    make = np.random.default_rng(0)
    keys = np.sort(make.integers(0, 2**63, count, dtype=np.int64))
    digits = pa.array([f"{key:016x}{i:016x}" for i, key in enumerate(keys.tolist())])
    number = np.arange(count)
    table = pa.table(
        {
            "key": digits,
            "shard": pa.DictionaryArray.from_arrays(
                pa.array(number // 5000, pa.int32()), [f"shard-{i:05d}.tar" for i in range(count // 5000 + 1)]
            ).cast(pa.string()),
            "split": pa.array(np.where(number % 100 == 0, "val", "train")),
            "audio_class": pa.DictionaryArray.from_arrays(pa.array(number % 5, pa.int32()), list(CLASSES)).cast(
                pa.string()
            ),
            "tasks": pa.ListArray.from_arrays(
                pa.array(5 * np.arange(count + 1), pa.int32()), pa.array(list(TASKS) * count)
            ),
            "video": pa.FixedSizeListArray.from_arrays(np.tile([16, 30, 52], count), 3).cast(pa.list_(pa.int64())),
            **{name: number % 200 for name in ("audio", "video_text", "audio_text", "speech")},
            "seconds": number / 24,
            "offset": number * 2_400_000,
            "size": np.full(count, 2_400_000),
        }
    )
    pq.write_table(table, path)
