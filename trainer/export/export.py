"""`export`: a checkpoint's weights as sharded safetensors in the hub's layout, with all that is needed to use them.

DIR/config.json                          see `trainer/export/config.py`
    model.safetensors.index.json         which file holds which tensor
    model-00001-of-0000N.safetensors     at most `max_gb` GB each
Only one file's tensors are in memory at a time, whatever the size of the model.
"""

import gc
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from manifests.errors import ConfigError
from manifests.files import publish_folder
from manifests.settings import checked
from pipeline import console
from trainer.base import open_base, space_of
from trainer.checkpoint import Progress, latest, read_progress, stage_folder
from trainer.export import stored
from trainer.export.check import ADAPTER, check_whole
from trainer.export.config import CONFIG, INDEX, describe
from trainer.export.merge import Adapters, Merged
from trainer.lora import LoraSettings, adapter_config
from trainer.settings import as_plain

DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}
HEADER_BYTES = 256
"""Counted for every tensor: its entry in the header of a file, rounded up."""

WHOLE, ADAPTED = ("ema", "model"), ("lora", "merged")
"""What can be exported of a run that trained the whole model, and of one that trained adapters."""


def export(
    out: Path, stage: int, weights: str = "ema", dtype: str = "bf16", to: Path | None = None, max_gb: float = 5.0
) -> dict[str, Any]:
    """Write the newest checkpoint of a stage into `to`, by default OUT/export/stage-<n>-<step>-<weights>-<dtype>.

    weights: `ema`, the average; `model`, the weights that train; of a LoRA run `lora`, the averaged adapters in peft's
    files, or `merged`, the base with them added. max_gb: of a file, in 10^9 bytes; one tensor that is larger has a file
    of its own. The folder appears whole, by a rename; made again it is left as it is.
    Raises ConfigError for a stage without a finished checkpoint, an unknown dtype or weights that the run has not, and
    a `to` that exists and is another thing.
    """
    began = time.perf_counter()
    _check(weights, dtype, max_gb)
    folder = finished(out, stage)
    progress = read_progress(folder)
    lora = lora_of(progress, weights)
    source = _source(folder, weights, lora)
    config = describe(progress, space_of(out, progress, lora)) | {"weights": weights, "dtype": dtype}
    config["parameters"] = sum(size.numel() for size in source.sizes.values())
    config["training"]["checkpoint"] = stored.identity(folder)
    if lora is not None:
        config["lora"] = {**as_plain(lora), "base": open_base(lora.folder).identity}
    to = to or out / "export" / f"stage-{stage}-{progress.step:08d}-{weights}-{dtype}"
    fresh = not same_export(to, config)
    if fresh:
        with whole(to) as partial:
            write_tensors(partial, source, DTYPES[dtype], float("inf") if weights == "lora" else max_gb)
            (partial / CONFIG).write_bytes(_text(config))
            if weights == "lora" and lora is not None:
                as_peft(partial, lora)
    files = [path.stat().st_size for path in to.glob("*.safetensors")]
    return {
        "job": "export",
        "stage": stage,
        "step": progress.step,
        "folder": str(to),
        "weights": weights,
        "dtype": dtype,
        "parameters": config["parameters"],
        "files": len(files),
        "bytes": sum(files),
        "written": fresh,
        "seconds": round(time.perf_counter() - began, 2),
    }


def lora_of(progress: Progress, weights: str) -> LoraSettings | None:
    """The LoRA settings of a checkpoint, None without. Raises ConfigError when it has no such weights."""
    kept = progress.settings.get("lora")
    if (kept is not None) != (weights in ADAPTED):
        what = "a frozen base and adapters" if kept else "a whole model"
        raise ConfigError("export:weights", f"this run trained {what}: give --weights {' or '.join(_known(kept))}")
    return None if kept is None else checked(LoraSettings, kept)


def _known(lora: object) -> tuple[str, ...]:
    return WHOLE if lora is None else ADAPTED


def _source(folder: Path, weights: str, lora: LoraSettings | None) -> stored.Source:
    if lora is None:
        return stored.Part(folder, weights)
    return Adapters(folder) if weights == "lora" else Merged(folder, lora)


def as_peft(folder: Path, lora: LoraSettings) -> None:
    """Give the one file of adapters peft's name, and write peft's adapter_config.json."""
    (file,) = folder.glob("*.safetensors")
    file.rename(folder / ADAPTER)
    (folder / INDEX).unlink()
    adapter_config(lora, saved=True).save_pretrained(str(folder))


def finished(out: Path, stage: int) -> Path:
    """The newest finished checkpoint of a stage. Raises ConfigError naming the stages that have one."""
    folder = latest(out, stage)
    if folder is not None:
        return folder
    names = [p.name.partition("-")[2] for p in (out / "checkpoints").glob("stage-*")]
    known = sorted(int(name) for name in names if name.isdecimal() and latest(out, int(name)))
    begun = any(stage_folder(out, stage).glob("*")) if stage > 0 else False
    what = f"stage {stage} has no finished checkpoint" if begun else f"stage {stage} has no checkpoint"
    advice = f"there are those of stages {known}" if known else f"run `klear-train train --stage {stage}` first"
    raise ConfigError("checkpoint:absent", f"{what} in {out}: {advice}")


def grouped(sizes: stored.Sizes, itemsize: int, max_gb: float) -> list[stored.Sizes]:
    """Cut the tensors, in order, into files of at most max_gb x 10^9 bytes, headers included."""
    groups: list[list[tuple[str, torch.Size]]] = []
    room = 0.0
    for name, size in sizes:
        cost = size.numel() * itemsize + HEADER_BYTES
        if not groups or cost > room:
            groups.append([])
            room = max_gb * 1e9 - HEADER_BYTES
        groups[-1].append((name, size))
        room -= cost
    return list(groups)


def same_export(to: Path, config: Mapping[str, Any]) -> bool:
    """Whether `to` already holds this export, whole. Raises ConfigError when it exists and holds anything else, or is
    this export with a file that is missing or cut short."""
    if not to.exists():
        return False
    if (to / CONFIG).is_file() and (to / CONFIG).read_bytes() == _text(config):
        check_whole(to, config["weights"])
        return True
    raise ConfigError("export:exists", f"{to} exists and is not this export: give another --to, or remove it")


def _text(config: Mapping[str, Any]) -> bytes:
    return (json.dumps(config, indent=1, ensure_ascii=False) + "\n").encode()


@contextmanager
def whole(final: Path) -> Iterator[Path]:
    """A folder to write into, which gets the name `final` when the block ends well, and else is gone."""
    partial = final.with_name(f".partial-{final.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        publish_folder(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_tensors(to: Path, source: stored.Source, dtype: torch.dtype, max_gb: float) -> None:
    """Write all tensors of a source into `to`, a file's worth in memory at a time, and their index."""
    from safetensors.torch import save_file

    groups = grouped(list(source.sizes.items()), dtype.itemsize, max_gb)
    places: dict[str, str] = {}
    total = 0
    with console.ticking("export", len(groups), "files") as ticker:
        for number, group in enumerate(groups, 1):
            name = f"model-{number:05d}-of-{len(groups):05d}.safetensors"
            tensors = source.read(group, dtype)
            save_file(tensors, to / name, {"format": "pt"})
            places |= dict.fromkeys(tensors, name)
            total += sum(tensor.nbytes for tensor in tensors.values())
            del tensors
            gc.collect()  # DCP's planner and what it read refer to each other: two files' worth would stay
            ticker.advance(1)
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (to / INDEX).write_text(json.dumps(index, indent=1) + "\n")


def _check(weights: str, dtype: str, max_gb: float) -> None:
    if weights not in (*WHOLE, *ADAPTED):
        raise ConfigError("export:weights", f"weights = {weights!r}: give {', '.join((*WHOLE, *ADAPTED))}")
    if dtype not in DTYPES:
        raise ConfigError("export:dtype", f"dtype = {dtype!r}: give {' or '.join(DTYPES)}")
    if max_gb <= 0:
        raise ConfigError("export:max_gb", f"max-gb = {max_gb}: give the largest file in GB, above 0")
