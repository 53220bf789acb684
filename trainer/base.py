"""The frozen model that LoRA adapts: its settings, its statistics, its weights, from an export or a checkpoint."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from manifests import files
from manifests.errors import ConfigError
from trainer.checkpoint import PROGRESS, Progress, read_progress
from trainer.codecs.stats import ChannelStats, load_stats
from trainer.data.latents import ON_THE_FLY, SETTINGS, LatentSet, find_again, open_set
from trainer.export import stored
from trainer.export.config import stats_of
from trainer.export.pretrained import fill, read_config, reader
from trainer.lora import LoraSettings, base_name
from trainer.model.mmdit import MMDiT
from trainer.quiet import quietly
from trainer.settings import TrainSettings, as_plain
from trainer.space import LatentSpace, Space


@dataclass(frozen=True)
class Base:
    """model: its `ModelConfig` as plain values. identity: of its weights. is_export: else it is a checkpoint."""

    folder: Path
    is_export: bool
    model: dict[str, Any]
    video_stats: ChannelStats
    audio_stats: ChannelStats
    identity: str


def open_base(folder: Path) -> Base:
    """What lies in `folder`, without its weights. Raises ConfigError when it is neither export nor checkpoint."""
    if (folder / PROGRESS).is_file():
        progress = read_progress(folder)
        stats = load_stats(find_again(folder.parents[2], progress.settings.get("latents"), progress.latents))
        model = dict(progress.settings["model"])
        return Base(folder, False, model, stats["video"], stats["audio"], stored.identity(folder))
    if not folder.is_dir():
        raise ConfigError("lora:base", f"lora.base = {str(folder)!r} is no folder: name an export or a checkpoint")
    config = read_config(folder)
    stats = {medium: stats_of(numbers) for medium, numbers in config["statistics"].items()}
    identity = f"{config['training']['checkpoint']}-{config['weights']}-{config['dtype']}"
    return Base(folder, True, config["model"], stats["video"], stats["audio"], identity)


def load_base(model: MMDiT, settings: TrainSettings) -> None:
    """Fill a model with adapters, sharded or not, with the base's weights; nothing when settings have no lora.

    Raises ConfigError when the base is another model.
    """
    if settings.lora is None:
        return
    base = open_base(settings.lora.folder)
    now = as_plain(settings)["model"]
    if base.model != now:
        raise ConfigError("lora:base", f"{base.folder} holds another model than these settings: use its preset")
    names = {name: kept for name, _ in model.named_parameters() if (kept := base_name(name)) is not None}
    if base.is_export:
        fill(model, base.folder, names)
        return
    parameters = dict(model.named_parameters())
    with quietly():
        state = {"ema": {kept: parameters[name].detach() for name, kept in names.items()}}
        dcp.load(state, checkpoint_id=base.folder, no_dist=not torch.distributed.is_initialized())


def base_shapes(base: Base) -> dict[str, torch.Size]:
    """Names and shapes of the base's tensors."""
    if not base.is_export:
        return stored.Part(base.folder, "ema").sizes
    rows = reader(base.folder).read_metadata().state_dict_metadata
    return stored.natural({name: row.size for name, row in rows.items() if isinstance(row, TensorStorageMetadata)})


def read_base(base: Base, group: stored.Sizes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """These tensors of the base, whole, in `dtype`, on the CPU."""
    if not base.is_export:
        return stored.Part(base.folder, "ema").read(group, dtype)
    tensors = {name: torch.empty(size, dtype=dtype) for name, size in group}
    with quietly():
        dcp.load(tensors, storage_reader=reader(base.folder), no_dist=True)
    return tensors


def open_latents(settings: TrainSettings, out: Path) -> LatentSet:
    """The latents of a run that its settings name; with lora, normalised by the statistics of the base.

    Raises ConfigError as `open_set` does, and when the base was trained on another codec.
    """
    latents = open_set(out, settings.latents, settings.encode)
    if settings.lora is not None:
        latents.video_stats, latents.audio_stats = stats_of_base(settings.lora, latents)
    return latents


def space_of(out: Path, progress: Progress, lora: LoraSettings | None) -> LatentSpace:
    """What the latents of a checkpoint mean: their settings and the statistics it was trained with; no sample is read.

    Raises ConfigError when the set that the statistics are of is not there any more, and as `stats_of_base`.
    """
    named = progress.settings.get("latents")
    folder = find_again(out, named, progress.latents)
    live = (named or "").partition(":")[0] == ON_THE_FLY
    settings = progress.settings["encode"] if live else json.loads(files.read(folder / SETTINGS))
    stats = load_stats(folder)
    space = LatentSpace(settings, stats["video"], stats["audio"])
    return space if lora is None else LatentSpace(settings, *stats_of_base(lora, space))


def stats_of_base(lora: LoraSettings, own: Space) -> tuple[ChannelStats, ChannelStats]:
    """Of video and audio. Raises ConfigError when the base was trained on another codec than `own`."""
    base = open_base(lora.folder)
    for medium, mine, theirs in (
        ("video", own.video_stats, base.video_stats),
        ("audio", own.audio_stats, base.audio_stats),
    ):
        if mine.codec != theirs.codec:
            raise ConfigError(
                "lora:codec",
                f"the {medium} latents are of {mine.codec}, the base {base.folder} was trained on {theirs.codec}: "
                f"encode with that, or name another lora.base",
            )
    return base.video_stats, base.audio_stats
