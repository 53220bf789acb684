"""Checkpoints: sharded, atomic, complete. What is restored continues as if it had never stopped.

OUT/checkpoints/stage-<n>/step-<nnnnnnnn>/   DCP files of model, optimizer, EMA and guard, and progress.json
There is no random state to keep: every draw is a function of the stream position. `trainer/saver.py` writes them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from manifests.errors import ConfigError
from trainer.ema import Ema
from trainer.guard import Guard
from trainer.model.mmdit import MMDiT
from trainer.optim import Optimizer
from trainer.parallel import World
from trainer.quiet import quietly
from trainer.trainable import trainable

PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """Where training stands. step: updates done in this stage. position: next position of the sample stream.

    mixture: weight by `class/task`. settings: as they were. latents: recipe of the latents, whose channel statistics
    the weights belong to (`recipe/theirs`, where latents made on the fly took those of another set). heldout: points
    measured so far. left_out: positions of the stream that are skipped since a rollback; rollbacks: in this stage.
    """

    stage: int
    step: int
    position: int
    mixture: Mapping[str, float]
    settings: Mapping[str, Any]
    latents: str = ""
    samples: int = 0
    seconds: float = 0.0
    heldout: list[dict[str, float]] = field(default_factory=list)
    left_out: list[int] = field(default_factory=list)
    rollbacks: int = 0


def stage_folder(out: Path, stage: int) -> Path:
    """Where a stage's checkpoints lie."""
    return out / "checkpoints" / f"stage-{stage}"


def checkpoints(out: Path, stage: int) -> list[Path]:
    """The complete checkpoints of a stage, oldest first. One that was cut off has no final name, so is not seen."""
    return sorted(p.parent for p in stage_folder(out, stage).glob(f"step-*/{PROGRESS}"))


def step_of(folder: Path) -> int:
    """The updates done before a checkpoint, from its name."""
    return int(folder.name.removeprefix("step-"))


def latest(out: Path, stage: int, at_most: int | None = None) -> Path | None:
    """The newest complete checkpoint of a stage (with at most so many steps), or None."""
    found = [f for f in checkpoints(out, stage) if at_most is None or step_of(f) <= at_most]
    return found[-1] if found else None


def read_progress(folder: Path) -> Progress:
    """The progress of a checkpoint. Raises ConfigError when its file does not belong to this version."""
    try:
        return Progress(**json.loads((folder / PROGRESS).read_text()))
    except TypeError as error:
        raise ConfigError("checkpoint:version", f"{folder / PROGRESS} is of another version: {error}") from None


def state_of(model: MMDiT, optimizer: Optimizer, ema: Ema, guard: Guard) -> dict[str, Any]:
    """Everything on the device that a checkpoint holds, by name; the tensors themselves, to save or to load into."""
    weights = {name: p.detach() for name, p in trainable(model).items()}
    counts = {"optimizer": optimizer.updates, "ema": ema.updates}
    return {
        "model": weights,
        "optimizer": {"state": optimizer.state},
        "ema": ema.weights,
        "updates": counts,
        "guard": guard.state,
    }


def restore(folder: Path, model: MMDiT, optimizer: Optimizer, ema: Ema, guard: Guard, world: World) -> Progress:
    """Load a checkpoint into the four, in place, at this world size, whatever it was saved at. Returns its progress."""
    progress = read_progress(folder)
    state = state_of(model, optimizer, ema, guard)
    try:
        with quietly():
            dcp.load(state, checkpoint_id=folder, no_dist=world.size == 1)
    except (CheckpointException, RuntimeError) as error:
        why = str(error).strip().splitlines()[-1]
        advice = f"it is damaged: remove it, and the same command goes on from the one before in {folder.parent}"
        if "Missing key" in str(error):
            advice = "it lacks what this run needs: optim.kind must be the one it was trained with"
        raise ConfigError("checkpoint:contents", f"{folder} cannot be loaded ({why}): {advice}") from error
    return progress


def load_ema(folder: Path, model: MMDiT) -> Progress:
    """Fill an unsharded model with a checkpoint's averaged weights."""
    state = {"ema": {name: p.detach() for name, p in trainable(model).items()}}
    with quietly():
        dcp.load(state, checkpoint_id=folder, no_dist=True)
    return read_progress(folder)
