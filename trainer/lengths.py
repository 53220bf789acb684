"""The lengths of documents, which are those that attention must be ready for: cuDNN builds a plan for each new one.

A plan takes 40 to 400 ms on an H100, forward and backward, and all processes wait for the one that meets a new length.
"""

from collections.abc import Iterable, Sequence
from itertools import product

import numpy as np
import torch
from torch.utils.checkpoint import checkpoint

from pipeline import console
from trainer.data.index import Rows
from trainer.model.config import ModelConfig
from trainer.model.kernels import attend, pick
from trainer.parallel import ParallelSettings
from trainer.run import Run
from trainer.settings import TrainSettings
from trainer.tasks import Task, task_named

MOST = 1024
"""Lengths that plans are made for before the first step, in some minutes."""


def lengths_of(rows: Rows, tasks: Iterable[Task], config: ModelConfig) -> list[int]:
    """All tokens that a document of these samples can have in these tasks, whatever captions are dropped; sorted."""
    sizes = {name: column.astype(np.int64) for name, column in rows.sizes().items()}
    video = sizes["video"].prod(axis=1) // config.patch**2
    captions = {name: np.maximum(sizes[name], 1) for name in ("video_text", "audio_text")}
    spoken, one = sizes["speech"] + 1, np.ones_like(video)
    seen: set[int] = set()
    for task in tasks:
        media = video * task.has("video") + sizes["audio"] * task.has("audio")
        for drops in product((False, True), repeat=3):
            first, second, third = (
                one if drop else kept for drop, kept in zip(drops, (*captions.values(), spoken), strict=True)
            )
            tokens = media + first * task.has("video_text") + (second + third) * task.has("audio_text")
            seen.update(np.unique(-(-tokens // config.length) * config.length).tolist())
    return sorted(seen)


def make_ready(run: Run, settings: TrainSettings) -> int:
    """Before the first step: cuDNN's plans for all lengths that this run can meet. Returns how many were made.

    More than `MOST` are left to be met, after saying how to have fewer. Nothing is done for another kernel.
    """
    half = torch.bfloat16 if settings.precision == "bf16" else torch.float32
    if pick(run.model.kernel, run.world.device, half) != "cudnn":
        return 0
    tasks = {name.rpartition("/")[2] for name, weight in run.progress.mixture.items() if weight}
    lengths = lengths_of(run.latents.samples(), map(task_named, tasks), settings.model)
    if len(lengths) > MOST:
        _advise(len(lengths), run)
        return 0
    shape = settings.model.heads // run.world.context, settings.model.head_dim
    attend_at(lengths, shape, settings.parallel, run.world.device, "cudnn")
    return len(lengths)


def attend_at(
    lengths: Sequence[int], shape: tuple[int, int], settings: ParallelSettings, device: torch.device, kernel: str
) -> None:
    """Attention of one document of each length, of `shape` (heads, head_dim), in bf16: forward and backward, laid out
    and in the threads that a step has them in, for plans are kept by strides and by thread."""
    joint = 2 if settings.elementwise == "torch" else 1 if settings.context == 1 else 3
    for length in lengths:
        q, k, v = _blank(length, shape, joint, device)
        segments = torch.tensor([length, 0])
        if settings.recompute == "full":
            out = checkpoint(attend, q, k, v, segments, kernel, use_reentrant=False)
        else:
            out = attend(q, k, v, segments, kernel)
        out.backward(torch.zeros_like(out))


def _blank(length: int, shape: tuple[int, int], joint: int, device: torch.device) -> tuple[torch.Tensor, ...]:
    """q, k and v of zeros; the first `joint` of them lie in one tensor, row by row."""

    def zeros(*sizes: int) -> torch.Tensor:
        return torch.zeros(*sizes, dtype=torch.bfloat16, device=device, requires_grad=True)

    return *zeros(length, joint, *shape).unbind(1), *(zeros(length, *shape) for _ in range(3 - joint))


def _advise(count: int, run: Run) -> None:
    if run.world.first:
        words = f"documents have {count} lengths, and cuDNN plans each when it is met, which all wait for"
        console.say(f"{words}: set model.length=64, or parallel.attention=varlen", "slow start", "bold yellow")
