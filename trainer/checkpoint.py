"""Checkpoints: sharded, atomic, complete. What is restored continues as if it had never stopped.

OUT/checkpoints/stage-<n>/step-<nnnnnnnn>/   DCP files of model, optimizer and EMA, and progress.json
There is no random state to keep: every draw is a function of the stream position.
"""

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict, set_optimizer_state_dict

from manifests.errors import ConfigError
from trainer.ema import Ema
from trainer.model.mmdit import MMDiT
from trainer.parallel import World
from trainer.trainable import trainable

PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """Where training stands. step: updates done in this stage. position: next position of the sample stream.

    mixture: weight by `class/task`. settings: as they were. latents: recipe of the latents, whose channel statistics
    the weights belong to. heldout: points measured so far.
    """

    stage: int
    step: int
    position: int
    mixture: Mapping[str, float]
    settings: Mapping[str, Any]
    latents: str = ""
    ema_updates: int = 0
    samples: int = 0
    seconds: float = 0.0
    heldout: list[dict[str, float]] = field(default_factory=list)


def stage_folder(out: Path, stage: int) -> Path:
    """Where a stage's checkpoints lie."""
    return out / "checkpoints" / f"stage-{stage}"


def latest(out: Path, stage: int) -> Path | None:
    """The newest complete checkpoint of a stage, or None. One that was cut off has no final name, so is not seen."""
    found = sorted(p.parent for p in stage_folder(out, stage).glob(f"step-*/{PROGRESS}"))
    return found[-1] if found else None


def read_progress(folder: Path) -> Progress:
    """The progress of a checkpoint. Raises ConfigError when its file does not belong to this version."""
    try:
        return Progress(**json.loads((folder / PROGRESS).read_text()))
    except TypeError as error:
        raise ConfigError("checkpoint:version", f"{folder / PROGRESS} is of another version: {error}") from None


def save(
    out: Path,
    progress: Progress,
    model: MMDiT,
    optimizer: torch.optim.Optimizer,
    ema: Ema,
    world: World,
    keep_last: int,
) -> Path:
    """Write a checkpoint beside its final name, then rename it: a reader sees all of it or nothing. All ranks call."""
    final = stage_folder(out, progress.stage) / f"step-{progress.step:08d}"
    partial = final.with_name(f".partial-{final.name}")
    if world.first:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    world.barrier()
    with _quiet():
        dcp.save(_state(model, optimizer, ema), checkpoint_id=partial, no_dist=world.size == 1)
    if world.first:
        _write_durably(partial / PROGRESS, json.dumps(asdict(progress), indent=1))
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
        for old in sorted(final.parent.glob("step-*"))[:-keep_last]:
            shutil.rmtree(old)
    world.barrier()
    return final


def restore(folder: Path, model: MMDiT, optimizer: torch.optim.Optimizer, ema: Ema, world: World) -> Progress:
    """Load a checkpoint into the three, in place, at this world size. Returns its progress."""
    state = _state(model, _started(model, optimizer), ema)
    with _quiet():
        dcp.load(state, checkpoint_id=folder, no_dist=world.size == 1)
    set_optimizer_state_dict(model, optimizer, state["optimizer"])
    progress = read_progress(folder)
    ema.updates = progress.ema_updates
    return progress


def load_ema(folder: Path, model: MMDiT) -> Progress:
    """Fill an unsharded model with a checkpoint's averaged weights."""
    state = {"ema": {name: p.detach() for name, p in trainable(model).items()}}
    with _quiet():
        dcp.load(state, checkpoint_id=folder, no_dist=True)
    return read_progress(folder)


def _state(model: MMDiT, optimizer: torch.optim.Optimizer, ema: Ema) -> dict[str, Any]:
    weights = {name: p.detach() for name, p in trainable(model).items()}
    return {"model": weights, "optimizer": get_optimizer_state_dict(model, optimizer), "ema": ema.weights}


def _started(model: MMDiT, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """The optimizer with its state made, as it must be before it can be loaded into: one step of size zero."""
    if not optimizer.state:
        for parameter in trainable(model).values():
            parameter.grad = torch.zeros_like(parameter)
        for group in optimizer.param_groups:
            group["lr"] = 0.0
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return optimizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without DCP's remark that a single process saves alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _write_durably(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
