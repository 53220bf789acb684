"""Euler sampling of the flow, with classifier-free guidance by null captions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from trainer.documents import Document
from trainer.model.layout import PAD_ROWS
from trainer.model.mmdit import MMDiT, Prediction
from trainer.objective import Reading, velocity
from trainer.packing import PackedBatch, Targets, pack
from trainer.parallel import precision_context
from trainer.patches import unpatchify


@dataclass(frozen=True)
class Sampled:
    """One document's outcome: normalised latents, (T_v, H, W, C_v) and (T_a, C_a); None where the task has none."""

    video: torch.Tensor | None
    audio: torch.Tensor | None


def euler_sigmas(steps: int) -> list[float]:
    """Levels from 1 to 0, steps + 1 of them, evenly spaced (the training's uniform sigma)."""
    return [1 - i / steps for i in range(steps + 1)]


@torch.no_grad()
def sample_documents(
    model: MMDiT,
    documents: Sequence[Document],
    readings: Mapping[str, Reading],
    steps: int,
    guidance: float,
    precision: str,
    advance: Callable[[int], None] = lambda steps: None,
) -> list[Sampled]:
    """From noise (sigma 1) to latents. documents: at sigma 1; their latents only give shapes and the clean tokens.

    advance: told of every step.
    guidance: v = v_null + guidance (v_caption - v_null), all captions dropped together; 1 needs no null pass.
    """
    device = next(model.parameters()).device
    guided = guidance != 1
    both = [*documents, *(_without_captions(d) for d in documents)] if guided else list(documents)
    batch = pack(both, model.config).to(device)
    state = Prediction(batch.video.noisy, batch.audio.noisy)
    levels = euler_sigmas(steps)
    for sigma, following in pairwise(levels):
        with precision_context(precision, device):
            output = model(_at(batch, state, sigma).packed)
        state = Prediction(
            _advance(state.video, output.video, batch.video, sigma, following, guidance, readings["video"]),
            _advance(state.audio, output.audio, batch.audio, sigma, following, guidance, readings["audio"]),
        )
        advance(1)
    return [_outcome(batch, state, i, document, model.config.patch) for i, document in enumerate(documents)]


def _without_captions(document: Document) -> Document:
    dropped = replace(document.conditions, drop_video_text=True, drop_audio_caption=True, drop_transcript=True)
    return replace(document, conditions=dropped)


def _at(batch: PackedBatch, state: Prediction, sigma: float) -> PackedBatch:
    """The batch with the present state at the present level; group 0 stays at sigma 0."""
    sigmas = torch.full_like(batch.packed.sigmas, sigma)
    sigmas[0] = 0.0
    return replace(batch, packed=replace(batch.packed, video=state.video, audio=state.audio, sigmas=sigmas))


def _advance(
    state: torch.Tensor,
    output: torch.Tensor,
    targets: Targets,
    sigma: float,
    following: float,
    guidance: float,
    reading: Reading,
) -> torch.Tensor:
    """One Euler step of the rows that are being made; given rows and pads stay."""
    level = torch.full_like(targets.sigma, sigma)
    v = velocity(output, state, level, reading)
    if guidance != 1:
        rows = (len(v) - PAD_ROWS) // 2
        mixed = v[rows : 2 * rows] + guidance * (v[:rows] - v[rows : 2 * rows])
        v = torch.cat([mixed, mixed, v[2 * rows :]])
    return state + (following - sigma) * v * targets.carries_loss[:, None]


def _outcome(batch: PackedBatch, state: Prediction, i: int, document: Document, patch: int) -> Sampled:
    video = state.video[batch.video.document == i].cpu()
    audio = state.audio[batch.audio.document == i].cpu()
    cells: tuple[int, int, int] = tuple(document.sample.video.shape[:3])  # type: ignore[assignment]
    return Sampled(
        unpatchify(video, cells, patch) if document.task.has("video") else None,
        audio if document.task.has("audio") else None,
    )
