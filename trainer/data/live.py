"""Samples encoded when they are asked for, from the shards themselves: no disk for latents, all of it CPU or GPU time.

For data that is seen once, or settings that change often. Statistics are those of a precomputed set: fit them once on a
part of the data with `klear-train encode`.
"""

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from manifests.errors import ConfigError, KlearError, MediaError, cause_of
from trainer.codecs.stats import load_stats
from trainer.data.encode import planned
from trainer.data.encode_settings import EncodeSettings
from trainer.data.encoder import Encoder
from trainer.data.index import Index
from trainer.data.latents import STATISTICS, LatentSet
from trainer.data.read_ahead import ReadAhead
from trainer.data.sample import Sample
from trainer.data.shards import Member, samples


class LiveSet(LatentSet):
    """As a `LatentSet` of the same recipe, and the same samples: they too are rounded to float16, for the statistics of
    a channel that hardly moves are those of rounded numbers, far from what it was before.

    out: folder of the run, on a disk. stats: folder of the statistics of channels. The JSON of every sample is read at
    the start, which tells what it will be, so this is for some hundred thousand samples. Samples that are too short,
    too small or damaged are not there.

    unusable: those by key, with the reason (code: message) of each.
    """

    def __init__(
        self, out: Path, settings: EncodeSettings, stats: Path, cache_bytes: int = 1 << 30, *, threads: int = 1
    ) -> None:
        """threads: of `prefetch`, each decodes and encodes a sample. Raises ConfigError as `encode`, for statistics of
        other codecs, and when there is no sample."""
        release, settings, table = planned(out, settings)
        self.folder = out / "shards" / release.name
        self.recipe = table.folder.name
        if stats.name != self.recipe:
            self.recipe += STATISTICS + stats.name
        self.settings: dict[str, Any] = settings.model_dump()
        self.encoder = Encoder(settings)
        fitted = load_stats(stats)
        self.video_stats, self.audio_stats = fitted["video"], fitted["audio"]
        self._check_codecs(stats)
        self.finite = False
        self._members = {k: m for name in release.shard_names() for k, m in samples(self.folder / name).items()}
        self.unusable: dict[str, str] = {}
        self.index = self._indexed()
        self._ahead: ReadAhead[Sample] = ReadAhead(self._read, threads, 8 * threads)
        self._cache: dict[str, Sample] = {}
        self._room = cache_bytes

    def load_raw(self, key: str) -> dict[str, torch.Tensor]:
        """One sample, encoded now, as it would be stored. Raises MediaError, naming key and shard."""
        info = self.index.info(self._row(key))
        members = self._members[key]
        try:
            encoded = self.encoder.encode(self._described(members), members["mp4"].read())
            return self._checked(info, self.encoder.stored(encoded.tensors))
        except Exception as error:
            code, message = cause_of(error)
            raise MediaError(code, f"sample {key} in {members['json'].path.name}: {message}") from error

    def texts(self, key: str) -> dict[str, str]:
        """The texts of a sample, without the empty ones. Raises MediaError for an unknown key."""
        self._row(key)
        return {name: text for name, text in self._described(self._members[key])["texts"].items() if text}

    @cached_property
    def text_width(self) -> int | None:
        """Channels of the caption features."""
        return self.encoder.text.CHANNELS

    def _described(self, members: dict[str, Member]) -> dict[str, Any]:
        described: dict[str, Any] = json.loads(members["json"].read())
        return described

    def _check_codecs(self, stats: Path) -> None:
        for codec, fitted in ((self.encoder.video, self.video_stats), (self.encoder.audio, self.audio_stats)):
            if fitted.codec != f"{codec.NAME}-{codec.VERSION}":
                raise ConfigError(
                    "stats:codec",
                    f"the statistics in {stats} are of {fitted.codec}, not of {codec.NAME}-{codec.VERSION}",
                )

    def _indexed(self) -> Index:
        rows: list[dict[str, Any]] = []
        for key, members in self._members.items():
            try:
                rows.append(self._indexed_one(key, members))
            except (KlearError, KeyError, ValueError) as error:
                self.unusable[key] = ": ".join(cause_of(error))
        if not rows:
            raise ConfigError("latents:empty", f"no sample in {self.folder} is long and large enough")
        return Index.of(rows)

    def _indexed_one(self, key: str, members: dict[str, Member]) -> dict[str, Any]:
        """The row of a sample. Raises KlearError, KeyError or ValueError where it cannot be encoded."""
        described, mp4 = self._described(members), members["mp4"]
        known = {name: described[name] for name in ("split", "audio_class", "tasks")}
        lengths = self.encoder.lengths(described)
        return {"key": key, **known, **lengths, "shard": mp4.path.name, "offset": mp4.offset, "size": mp4.size}
