"""The frozen model that LoRA adapts: its settings, its statistics, its weights, from an export or a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from manifests.errors import ConfigError
from trainer import stored
from trainer.checkpoint import PROGRESS, read_progress
from trainer.codecs.stats import ChannelStats
from trainer.data.latents import LatentSet, find_latents, open_set
from trainer.export_config import stats_of
from trainer.lora import base_name
from trainer.model.mmdit import MMDiT
from trainer.pretrained import fill, read_config, reader
from trainer.settings import TrainSettings, as_plain


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
        latents = LatentSet(find_latents(folder.parents[2], progress.latents))
        model = dict(progress.settings["model"])
        return Base(folder, False, model, latents.video_stats, latents.audio_stats, stored.identity(folder))
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
    with stored.quietly():
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
    with stored.quietly():
        dcp.load(tensors, storage_reader=reader(base.folder), no_dist=True)
    return tensors


def open_latents(settings: TrainSettings, out: Path, recipe: str | None = None) -> LatentSet:
    """The latents of a run, by default those its settings name; with lora, normalised by the statistics of the base.

    Raises ConfigError as `find_latents` does, and when the base was trained on another codec.
    """
    latents = open_set(out, recipe or settings.latents, settings.encode)
    if settings.lora is None:
        return latents
    base = open_base(settings.lora.folder)
    for medium, own, theirs in (
        ("video", latents.video_stats, base.video_stats),
        ("audio", latents.audio_stats, base.audio_stats),
    ):
        if own.codec != theirs.codec:
            raise ConfigError(
                "lora:codec",
                f"the {medium} latents are of {own.codec}, the base {base.folder} was trained on {theirs.codec}: "
                f"encode with that, or name another lora.base",
            )
    latents.video_stats, latents.audio_stats = base.video_stats, base.audio_stats
    return latents
