"""Flow matching: what the network's output means, and its loss.

sigma in [0, 1], 0 = clean, 1 = noise (diffusers, LTX). x_sigma = (1 - sigma) x + sigma n; velocity v = n - x =
dx/dsigma; an Euler step is x <- x + (sigma_next - sigma) v. The paper (equations 1-2) writes t = 1 - sigma, u = -v.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field, model_validator

from pipeline.settings import Settings
from trainer.documents import DrawSettings
from trainer.model.mmdit import Prediction
from trainer.objective_presets import PRESETS, under
from trainer.packing import PackedBatch, Targets
from trainer.sigmas import Coupling, MediaSigmas

SIGMA_FLOOR = 0.05


class ObjectiveSettings(Settings):
    """prediction: what the network outputs, the velocity `v` or the clean latent `x`.

    `x` suits wide noisy channels: a narrow network cannot carry full-rank noise to its output, and need not.
    precondition: with `x`, the output is what content adds to the best linear estimate (`clean_estimate`).
    preset: whose modality weights and sigmas to start from (`trainer/objective_presets.py`); keys given beside it win.
    video_weight, audio_weight: of the two media's losses. drop: chance of dropping each caption in training.
    coupling: one sigma for both media (the paper), one each, or `mixed`: one each with chance `independent`.
    sigma: how each medium's is distributed.
    """

    preset: Literal["klear", "mova", "ovi"] = "klear"
    prediction: Literal["v", "x"] = "x"
    precondition: bool = True
    video_weight: float = Field(default=1.0, ge=0)
    audio_weight: float = Field(default=1.0, ge=0)
    drop: float = Field(default=0.1, ge=0, le=1)
    coupling: Coupling = "shared"
    independent: float = Field(default=0.5, ge=0, le=1)
    sigma: MediaSigmas = MediaSigmas()

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, given: Any) -> Any:
        """The preset's keys below the given ones."""
        name = given.get("preset") if isinstance(given, dict) else None
        return under(given, PRESETS[name]) if isinstance(name, str) and name in PRESETS else given

    def draws(self, seed: int) -> DrawSettings:
        """What a document's draws depend on."""
        return DrawSettings(seed, self.drop, self.coupling, self.independent, self.sigma)


class MediaLosses(NamedTuple):
    """Per-row losses (R,), float32, zero where a row carries none."""

    video: torch.Tensor
    audio: torch.Tensor


@dataclass(frozen=True)
class Reading:
    """How one medium's outputs are read and weighed.

    weights: (C,) of the channels in the loss, mean 1. variance: (C,) of the clean training channels, whose mean is 0.
    """

    prediction: str
    precondition: bool
    weights: torch.Tensor
    variance: torch.Tensor


def velocity(output: torch.Tensor, noisy: torch.Tensor, sigma: torch.Tensor, reading: Reading) -> torch.Tensor:
    """The velocity (R, C) that an output (R, C) at x_sigma (R, C) and sigma (R,) stands for.

    For `x`: (x_sigma - x_hat) / max(sigma, 0.05): the floor keeps the last, nearly clean steps finite.
    """
    if reading.prediction == "v":
        return output
    return (noisy - clean_estimate(output, noisy, sigma, reading)) / sigma.clamp_min(SIGMA_FLOOR)[:, None]


def clean_estimate(output: torch.Tensor, noisy: torch.Tensor, sigma: torch.Tensor, reading: Reading) -> torch.Tensor:
    """The clean latent x_hat (R, C) of an output of prediction `x`.

    The output itself, or with preconditioning as EDM (Karras et al. 2022, table 1) but channel by channel:
    x_hat = a x_sigma + sigma r output, where a x_sigma is the best linear estimate of x and r its error's deviation.
    The network then learns what content adds; at the start x_hat is the content-blind linear predictor. EDM has r
    alone: the further sigma keeps the network out where the noise is small, there is little to add, and a wrong
    guess about a clip unlike the training ones costs 1 / sigma^2.
    """
    if not reading.precondition:
        return output
    s, variance = sigma[:, None], reading.variance
    power = ((1 - s).square() * variance + s.square()).clamp_min(1e-12)
    return (1 - s) * variance / power * noisy + s.square() * (variance / power).sqrt() * output


def target_velocity(targets: Targets, prediction: str) -> torch.Tensor:
    """The velocity (R, C) of the truth: n - x, for `x` seen through the same floor (exact where sigma >= 0.05).

    Below the floor the true clean latent must be the optimum, so target and prediction share the divisor (as JiT).
    """
    velocity = targets.noise - targets.clean
    shrink = targets.sigma / targets.sigma.clamp_min(SIGMA_FLOOR)
    return velocity * shrink[:, None] if prediction == "x" else velocity


def row_losses(output: torch.Tensor, targets: Targets, reading: Reading) -> torch.Tensor:
    """Mean over channels of weight x squared velocity error, (R,); 0 for rows without loss."""
    predicted = velocity(output, targets.noisy, targets.sigma, reading)
    error = predicted - target_velocity(targets, reading.prediction)
    return (error.square() * reading.weights).mean(-1) * targets.carries_loss


def media_losses(output: Prediction, batch: PackedBatch, readings: Mapping[str, Reading]) -> MediaLosses:
    """`row_losses` of both media; readings: by `video` and `audio`."""
    return MediaLosses(
        row_losses(output.video, batch.video, readings["video"]),
        row_losses(output.audio, batch.audio, readings["audio"]),
    )


def loss_counts(batch: PackedBatch) -> torch.Tensor:
    """(2,) float32: rows with loss of video and of audio. All-reduce the sum over ranks and micro-batches."""
    return torch.stack([batch.video.carries_loss.sum(), batch.audio.carries_loss.sum()])


def global_loss(losses: MediaLosses, counts: torch.Tensor, settings: ObjectiveSettings) -> torch.Tensor:
    """This micro-batch's share of the step's loss: per modality, local sum / global count; weighted and added.

    Summed over ranks and micro-batches it is the global token mean per modality, whatever the split. A modality with
    no rows in the whole step adds zero, and zero gradients.
    """
    video, audio = losses.video.sum(), losses.audio.sum()
    video_count, audio_count = counts.clamp_min(1).unbind()
    return settings.video_weight * video / video_count + settings.audio_weight * audio / audio_count
