"""An exported model, ready to use: the tower, its settings, and the statistics that its latents are scaled by."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn

from manifests.errors import ConfigError
from pipeline.settings import with_sets
from trainer.export.config import CONFIG, FORMAT, INDEX, stats_of
from trainer.model.mmdit import MMDiT
from trainer.quiet import quietly
from trainer.sampling.weights import cast_products
from trainer.settings import TrainSettings
from trainer.space import LatentSpace


@dataclass(frozen=True)
class Pretrained:
    """model: in evaluation mode, frozen. settings: its sections model, objective, generate and the seed.

    space: how its latents were encoded and are scaled. config: the whole of config.json.
    """

    model: MMDiT
    settings: TrainSettings
    space: LatentSpace
    config: dict[str, Any]


def load_pretrained(
    folder: Path, device: torch.device | str = "cpu", sets: Iterable[str] = (), lean: bool = False
) -> Pretrained:
    """Load what `klear-train export` wrote: weights in float32 on `device`, whatever dtype the files have.

    sets: key=value on top of its settings, e.g. generate.steps=50. lean: for sampling alone, `cast_products` before
    anything is loaded: klear_26b in 78 GB instead of 104, klear_26b_wide in 56.
    Raises ConfigError when the folder is no export, is of another format, or lacks a file.
    """
    config = read_config(folder)
    kept = config["settings"] | {"model": config["model"]}
    settings = with_sets(TrainSettings, kept, sets)
    with torch.device("meta"):
        model = MMDiT(settings.model)
    if lean:
        cast_products(model, settings.precision)
    model = model.to_empty(device=device).eval().requires_grad_(False)
    fill(model, folder)
    stats = {medium: stats_of(numbers) for medium, numbers in config["statistics"].items()}
    return Pretrained(model, settings, LatentSpace(config["encode"], stats["video"], stats["audio"]), config)


def read_config(folder: Path) -> dict[str, Any]:
    """The config.json of an export. Raises ConfigError when there is none, or it is of another format."""
    if not (folder / CONFIG).is_file():
        raise ConfigError("export:absent", f"no {CONFIG} in {folder}: name a folder that `klear-train export` wrote")
    try:
        config: dict[str, Any] = json.loads((folder / CONFIG).read_text())
    except ValueError as error:
        raise ConfigError("export:altered", f"{folder / CONFIG} is not JSON ({error}): export again") from None
    if config.get("format") != FORMAT:
        raise ConfigError("export:format", f"{folder / CONFIG} has format {config.get('format')!r}, not {FORMAT!r}")
    return config


def fill(model: nn.Module, folder: Path, rename: dict[str, str] | None = None) -> None:
    """Overwrite parameters of a model, sharded or not, with those of an export; each rank reads its own shards.

    rename: from the model's names to the export's, for the parameters to fill; by default all, under their own names.
    Raises ConfigError when a file is missing, or a tensor is missing or of another shape.
    """
    _check_files(folder)
    parameters = dict(model.named_parameters())
    names = rename if rename is not None else {name: name for name in parameters}
    state = {stored: parameters[name].detach() for name, stored in names.items()}
    alone = not torch.distributed.is_initialized()
    try:
        with quietly():
            dcp.load(state, storage_reader=reader(folder), no_dist=alone)
    except (RuntimeError, ValueError, dcp.api.CheckpointException) as error:
        raise ConfigError("export:model", f"{folder} does not fit the model: {_first_line(error)}") from None


def reader(folder: Path) -> dcp.StorageReader:
    """DCP's reader of an export: any rank can read any slice of a tensor, in any dtype."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader

    return HuggingFaceStorageReader(str(folder))


def _check_files(folder: Path) -> None:
    if not (folder / INDEX).is_file():
        raise ConfigError("export:absent", f"no {INDEX} in {folder}: name a folder that `klear-train export` wrote")
    wanted = set(json.loads((folder / INDEX).read_text())["weight_map"].values())
    absent = sorted(name for name in wanted if not (folder / name).is_file())
    if absent:
        raise ConfigError("export:absent", f"{folder} lacks {len(absent)} of {len(wanted)} files ({absent[0]})")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
