"""Encoded samples on disk, as `trainer/data/encode.py` leaves them: any sample by key, normalised, in one read.

OUT/latents/<recipe>/shard-00000.tar      <key>.json, <key>.latents.safetensors (raw latents), plain WebDataset
                     index.parquet        a row a sample: `SampleInfo`, and the shard, offset and size of its latents
                     stats.safetensors, stats.json, settings.json
"""

import json
from pathlib import Path
from typing import Any

import torch

from manifests.catalog import Catalog
from manifests.errors import ConfigError, MediaError
from trainer.codecs.stats import ChannelStats, load_stats
from trainer.data.sample import Sample, SampleInfo

INDEX, SETTINGS = "index.parquet", "settings.json"


def find_latents(out: Path, recipe: str | None = None) -> Path:
    """The folder of finished latents under `out`; recipe: a prefix of its name, by default that of the last `encode`.

    Raises ConfigError when there is none, or more than one.
    """
    current = Catalog(out).current("latents") if recipe is None else None
    prefix = current.folder.name if current else recipe or ""
    found = sorted(p.parent for p in (out / "latents").glob(f"{prefix}*/{INDEX}"))
    if len(found) == 1:
        return found[0]
    wanted = f"latents with recipe {recipe!r}" if recipe else "latents"
    names = [p.name for p in found]
    advice = f"name one of {names}" if found else "run `klear-train encode` first"
    raise ConfigError("latents:absent", f"{len(found)} finished {wanted} under {out / 'latents'}: {advice}")


class LatentSet:
    """The samples of one recipe. The index is read once; samples are read when asked for and kept while they fit.

    settings: the `EncodeSettings` they were made with, as a dict. video_stats, audio_stats: their channel statistics.
    cache_bytes: how much normalised data to keep in memory; a small set is read once.
    """

    def __init__(self, folder: Path, cache_bytes: int = 1 << 30) -> None:
        if not (folder / INDEX).is_file():
            raise ConfigError("latents:absent", f"no {INDEX} in {folder}: run `klear-train encode` to the end first")
        self.folder = folder
        self.recipe = folder.name
        self.settings: dict[str, Any] = json.loads((folder / SETTINGS).read_text())
        stats = load_stats(folder)
        self.video_stats: ChannelStats = stats["video"]
        self.audio_stats: ChannelStats = stats["audio"]
        self._rows = _read_index(folder / INDEX)
        self._cache: dict[str, Sample] = {}
        self._room = cache_bytes

    def samples(self, split: str | None = None) -> list[SampleInfo]:
        """What is known of every sample of a split (all when None), sorted by key."""
        infos = (info for info, *_ in self._rows.values())
        return [info for info in infos if split is None or info.split == split]

    def keys(self, split: str | None = None) -> list[str]:
        """Keys of a split (all when None), sorted."""
        return [info.key for info in self.samples(split)]

    def __len__(self) -> int:
        return len(self._rows)

    def info(self, key: str) -> SampleInfo:
        """What is known of one sample. Raises MediaError for an unknown key."""
        return self._row(key)[0]

    def load(self, key: str) -> Sample:
        """One sample, normalised, float32. The tensors are shared: do not change them in place.

        Raises MediaError for an unknown key.
        """
        if key in self._cache:
            return self._cache[key]
        info, *_ = self._row(key)
        sample = self._normalised(info, self.load_raw(key))
        size = sum(t.nbytes for t in vars(sample).values() if isinstance(t, torch.Tensor))
        if size <= self._room:
            self._cache[key] = sample
            self._room -= size
        return sample

    def load_raw(self, key: str) -> dict[str, torch.Tensor]:
        """One sample as stored: raw `video` and `audio` latents, `video_text`, `audio_text`, `speech`."""
        from safetensors.torch import load

        _, shard, offset, size = self._row(key)
        with (self.folder / shard).open("rb") as file:
            file.seek(offset)
            return load(file.read(size))

    def _row(self, key: str) -> tuple[SampleInfo, str, int, int]:
        if key not in self._rows:
            raise MediaError("latents:key", f"no sample {key!r} in {self.folder}, which has {len(self)}")
        return self._rows[key]

    def _normalised(self, info: SampleInfo, raw: dict[str, torch.Tensor]) -> Sample:
        return Sample(
            key=info.key,
            split=info.split,
            audio_class=info.audio_class,
            tasks=info.tasks,
            video=self.video_stats.normalise(raw["video"]),
            audio=self.audio_stats.normalise(raw["audio"]),
            video_text=raw["video_text"].float(),
            audio_text=raw["audio_text"].float(),
            speech=raw["speech"],
        )


def _read_index(path: Path) -> dict[str, tuple[SampleInfo, str, int, int]]:
    import pyarrow.parquet as pq

    rows = {}
    for row in pq.read_table(path).to_pylist():
        place = row.pop("shard"), row.pop("offset"), row.pop("size")
        row.update(tasks=tuple(row["tasks"]), video=tuple(row["video"]))
        rows[row["key"]] = (SampleInfo(**row), *place)
    return rows
