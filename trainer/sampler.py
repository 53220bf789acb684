"""Documents at sigma 1 to latents: one pass a step over all of them, with and without their captions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch

from manifests.errors import ConfigError
from trainer.documents import Document
from trainer.model.kernels import pick
from trainer.model.mmdit import MMDiT, Prediction
from trainer.objective import Reading
from trainer.packing import PackedBatch, pack
from trainer.patches import unpatchify
from trainer.sampling.euler import Euler, euler_sigmas
from trainer.sampling.passes import MOST_STEPS, CachedPasses, Passes, WholePasses
from trainer.sampling.replay import Replayed

Reuse = Literal["none", "cache", "graph"]
"""What steps share. none: each is a whole forward pass. cache: captions, RoPE and the AdaLN of all levels are computed
once. graph: and on a GPU the rest of a step is captured once and replayed as a CUDA graph (on a CPU: as `cache`)."""

_COPYING = ("varlen", "flex")
"""Kernels that copy lengths or masks to the device at every call, from host memory that a graph would not keep."""


@dataclass(frozen=True)
class Sampled:
    """One document's outcome: normalised latents, (T_v, H, W, C_v) and (T_a, C_a); None where the task has none."""

    video: torch.Tensor | None
    audio: torch.Tensor | None


@torch.no_grad()
def sample_documents(
    model: MMDiT,
    documents: Sequence[Document],
    readings: Mapping[str, Reading],
    steps: int,
    guidance: float,
    precision: str,
    advance: Callable[[int], None] = lambda steps: None,
    reuse: Reuse = "cache",
) -> list[Sampled]:
    """From noise (sigma 1) to latents. documents: at sigma 1; their latents only give shapes and the clean tokens.

    advance: told of every step.
    guidance: v = v_null + guidance (v_caption - v_null), all captions dropped together; 1 needs no null pass.
    Raises ConfigError for `graph` with an attention kernel that cannot be captured.
    """
    device = next(model.parameters()).device
    both = [*documents, *(_without_captions(d) for d in documents)] if guidance != 1 else list(documents)
    batch = pack(both, model.config).to(device)
    euler = Euler.of(batch, readings, guidance)
    passes: Passes = (WholePasses if reuse == "none" else CachedPasses)(model, batch, euler, precision)
    step = passes.step
    if reuse == "graph" and device.type == "cuda":
        _check_kernel(model, precision)
        step = Replayed(passes.step)
    levels = euler_sigmas(steps)
    for first in range(0, steps, MOST_STEPS):
        span = levels[first : first + MOST_STEPS + 1]
        passes.load(span)
        for _ in span[1:]:
            step()
            advance(1)
    return [_outcome(batch, passes.state, i, document, model.config.patch) for i, document in enumerate(documents)]


def _check_kernel(model: MMDiT, precision: str) -> None:
    weight = model.video.weight
    kernel = pick(model.kernel, weight.device, torch.bfloat16 if precision == "bf16" else weight.dtype)
    if kernel in _COPYING:
        raise ConfigError(
            "generate:graph", f"attention = {kernel!r} cannot be captured: set attention=auto, or generate.reuse=cache"
        )


def _without_captions(document: Document) -> Document:
    dropped = replace(document.conditions, drop_video_text=True, drop_audio_caption=True, drop_transcript=True)
    return replace(document, conditions=dropped)


def _outcome(batch: PackedBatch, state: Prediction, i: int, document: Document, patch: int) -> Sampled:
    video = state.video[batch.video.document == i].cpu()
    audio = state.audio[batch.audio.document == i].cpu()
    cells: tuple[int, int, int] = tuple(document.sample.video.shape[:3])  # type: ignore[assignment]
    return Sampled(
        unpatchify(video, cells, patch) if document.task.has("video") else None,
        audio if document.task.has("audio") else None,
    )
