"""Encoded samples, as `trainer/data/encode.py` leaves them, on a disk or in a bucket: any of them by key, in one read.

OUT/latents/<recipe>/shard-00000.tar      <key>.json, <key>.latents.safetensors (raw latents), plain WebDataset
                     index.parquet        a row a sample: `SampleInfo`, and the shard, offset and size of its latents
                     stats.safetensors, stats.json, settings.json
"""

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import torch

from manifests import files
from manifests.catalog import Catalog
from manifests.errors import ConfigError, MediaError
from manifests.files import AnyPath
from trainer.codecs.stats import ChannelStats, load_stats
from trainer.data.encode_settings import EncodeSettings
from trainer.data.index import Index, Place, Rows, unknown
from trainer.data.read_ahead import ReadAhead
from trainer.data.reader import ShardReader
from trainer.data.sample import Sample, SampleInfo
from trainer.data.tensors import parse

INDEX, SETTINGS = "index.parquet", "settings.json"
ON_THE_FLY = "on_the_fly"
"""What `latents` says in the settings, for samples that are encoded when asked for."""
STATISTICS = "/"
"""In the recipe of samples that are encoded when asked for: what follows is that of their statistics, if another."""
THREADS = 8
"""Reads under way together: what hides the latency of a bucket. A disk that is local needs fewer."""

_LOOK = 4
"""Samples that are looked at for the width of captions: one of them may be damaged."""


def find_latents(out: AnyPath, named: str | None = None) -> AnyPath:
    """The folder of a finished set of latents.

    named: a prefix of its recipe, for one under OUT/latents; or, with a slash, a folder or URL: that of the set, or one
    with a single set in it. By default that of the last `encode` under OUT.
    Raises ConfigError when there is none, or more than one.
    """
    place = _place(named)
    if place is not None:
        return place if files.exists(place / INDEX) else _only(place, "")
    current = Catalog(out).current("latents") if named is None else None
    return _only(out / "latents", current.folder.name if current else named or "")


def find_again(out: AnyPath, latents: str | None, recipe: str) -> AnyPath:
    """The set whose statistics a checkpoint belongs to. latents: its setting then. recipe: as `open_set` gave it then.

    Raises ConfigError when it is not there any more.
    """
    name = recipe.rpartition(STATISTICS)[2]
    way, _, rest = (latents or "").partition(":")
    place = _place(rest if way == ON_THE_FLY else latents)
    if place is None:
        return _only(out / "latents", name)
    return place if place.name == name and files.exists(place / INDEX) else _only(place, name)


def _place(named: str | None) -> AnyPath | None:
    return files.root(named) if named is not None and "/" in named else None


def _only(folder: AnyPath, prefix: str) -> AnyPath:
    found = [folder / name for name in files.folders(folder) if name.startswith(prefix)]
    found = [path for path in found if files.exists(path / INDEX)]
    if len(found) == 1:
        return found[0]
    wanted = f"latents with recipe {prefix!r}" if prefix else "latents"
    names = [p.name for p in found]
    advice = f"name one of {names}" if found else "run `klear-train encode` first, or name where they are"
    raise ConfigError("latents:absent", f"{len(found)} finished {wanted} under {folder}: {advice}")


def open_set(out: AnyPath, latents: str | None, settings: EncodeSettings) -> "LatentSet":
    """What a run reads: precomputed latents (`latents`: as `named` of `find_latents`), or `on_the_fly[:named]`.

    On the fly, the statistics are those of the precomputed set so named, by default of the newest.
    Raises ConfigError as `find_latents`, `LatentSet` and `LiveSet`, and for a bucket on the fly.
    """
    way, _, named = (latents or "").partition(":")
    if way != ON_THE_FLY:
        return LatentSet(find_latents(out, latents))
    from trainer.data.live import LiveSet

    if not files.is_local(out):
        raise ConfigError("out:bucket", f"latents = {latents!r}: shards are encoded from a disk, {out} is a bucket")
    return LiveSet(out, settings, find_latents(out, named or None))


class LatentSet:
    """The samples of one recipe. The index is read once; samples are read when asked for and kept while they fit.

    settings: the `EncodeSettings` they were made with, as a dict. video_stats, audio_stats: their channel statistics.
    cache_bytes: how much normalised data to keep in memory; a small set is read once. threads, ahead: of `prefetch`:
    reads under way together, and samples it may hold. finite: refuse a sample with a number that is not finite (one
    more pass over it). unusable: keys of samples that cannot be encoded, with the reason of each, where that is found
    out here; those of a stored set are in the table that `encode` wrote.
    """

    unusable: Mapping[str, str] = MappingProxyType({})

    def __init__(
        self,
        folder: AnyPath,
        cache_bytes: int = 1 << 30,
        *,
        threads: int = THREADS,
        ahead: int = 8 * THREADS,
        finite: bool = False,
    ) -> None:
        if not files.exists(folder / INDEX):
            raise ConfigError("latents:absent", f"no {INDEX} in {folder}: run `klear-train encode` to the end first")
        self.folder = folder
        self.recipe = folder.name
        self.settings: dict[str, Any] = json.loads(files.read(folder / SETTINGS))
        stats = load_stats(folder)
        self.video_stats: ChannelStats = stats["video"]
        self.audio_stats: ChannelStats = stats["audio"]
        self.index = Index.read(folder / INDEX)
        self.finite = finite
        self._reader = ShardReader(folder)
        self._ahead = ReadAhead(self._read, threads, ahead)
        self._cache: dict[str, Sample] = {}
        self._room = cache_bytes

    def samples(self, split: str | None = None) -> Rows:
        """What is known of every sample of a split (all when None), sorted by key: made when looked at."""
        return self.index.split(split)

    @cached_property
    def training(self) -> Rows:
        """The samples of the training split."""
        return self.samples("train")

    def keys(self, split: str | None = None) -> list[str]:
        """Keys of a split (all when None), sorted: a Python object each."""
        return self.samples(split).keys()

    def __len__(self) -> int:
        return len(self.index)

    def info(self, key: str) -> SampleInfo:
        """What is known of one sample. Raises MediaError for an unknown key."""
        return self.index.info(self._row(key))

    def prefetch(self, keys: Iterable[str]) -> None:
        """Begin to read these samples, which will be loaded in this order, after those announced before.

        Threads read, check and normalise; `load` then takes what is there, and raises what went wrong. A key is
        announced once for each time it is loaded, or not at all.
        """
        self._ahead.announce(key for key in keys if key not in self._cache)

    def forget(self) -> None:
        """Drop what was announced and not loaded: the stream goes on elsewhere."""
        self._ahead.forget()

    def load(self, key: str) -> Sample:
        """One sample, normalised, float32. The tensors are shared: do not change them in place.

        Raises MediaError `latents:key` for an unknown key; `latents:absent`, `latents:short`, `latents:header`,
        `latents:shape`, `latents:finite` for a damaged sample, naming key, shard, offset and cause.
        """
        if key in self._cache:
            self._ahead.drop(key)  # announced before it came into the cache, it would hold a place for ever
            return self._cache[key]
        sample = self._ahead.take(key)
        size = sum(t.nbytes for t in vars(sample).values() if isinstance(t, torch.Tensor))
        if size <= self._room:
            self._cache[key] = sample
            self._room -= size
        return sample

    def load_raw(self, key: str) -> dict[str, torch.Tensor]:
        """One sample as stored: raw `video` and `audio` latents, `video_text`, `audio_text`, `speech`.

        Raises MediaError as `load`.
        """
        row = self._row(key)
        place = self.index.place(row)
        try:
            return self._checked(self.index.info(row), parse(self._reader.read(place)))
        except MediaError as error:
            raise MediaError(error.code, f"{_told(key, place)}: {error.message}") from error

    def texts(self, key: str) -> dict[str, str]:
        """The texts of a sample, as its shard keeps them beside the latents, without the empty ones.

        Raises MediaError for an unknown key.
        """
        from trainer.data.shards import samples as members_of

        place = self.index.place(self._row(key))
        described = json.loads(members_of(self.folder / place.shard)[key]["json"].read())
        return {name: text for name, text in described["texts"].items() if text}

    @cached_property
    def text_width(self) -> int | None:
        """Channels of the caption features, by the first sample; None where the first few cannot be read."""
        for row in range(min(len(self), _LOOK)):
            try:
                features = parse(self._reader.read(self.index.place(row))).get("video_text")
            except MediaError:
                continue
            if features is not None and features.ndim == 2:
                return int(features.shape[1])
        return None

    def _row(self, key: str) -> int:
        row = self.index.row(key)
        if row is None:
            raise unknown(key, self.folder, len(self))
        return row

    def _read(self, key: str) -> Sample:
        return self._normalised(self.index.info(self._row(key)), self.load_raw(key))

    def _checked(self, info: SampleInfo, raw: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What the index promised is there. Raises MediaError."""
        text = () if self.text_width is None else (self.text_width,)
        wanted: dict[str, tuple[int, ...]] = {
            "video": (*info.video, len(self.video_stats.mean)),
            "audio": (info.audio, len(self.audio_stats.mean)),
            "video_text": (info.video_text, *text),
            "audio_text": (info.audio_text, *text),
            "speech": (info.speech,),
        }
        for name, shape in wanted.items():
            if name not in raw:
                raise MediaError("latents:shape", f"no tensor {name!r}, only {sorted(raw)}")
            found = tuple(raw[name].shape)
            ranks = 2 if name.endswith("_text") else len(shape)
            if found[: len(shape)] != shape or len(found) != ranks:
                raise MediaError("latents:shape", f"{name} is {found}, by the index {shape}")
            if self.finite and raw[name].is_floating_point() and not bool(raw[name].isfinite().all()):
                raise MediaError("latents:finite", f"{name} has numbers that are not finite")
        return raw

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
            speech=raw["speech"].clone(),  # a view would hold the bytes of the whole sample
        )


def _told(key: str, place: Place) -> str:
    return f"sample {key} in {place.shard}, {place.size} bytes from {place.offset}"
