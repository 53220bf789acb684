"""Held-out flow-matching loss at fixed noise and fixed sigmas, beside the content-blind linear predictor's."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import torch

from trainer.batches import tokens_of
from trainer.data.draws import draw_normal
from trainer.data.latents import LatentSet
from trainer.data.sample import Sample, SampleInfo
from trainer.linear import linear_coefficient, linear_loss
from trainer.model.layout import STREAMS
from trainer.model.mmdit import MMDiT
from trainer.objective import row_losses, target_velocity
from trainer.packing import Conditions, Document, PackedBatch, Targets, pack
from trainer.parallel import precision_context
from trainer.settings import TrainSettings
from trainer.tasks import TASKS, task_named

NOISE_SEED = 20_260_104
"""Of the held-out noise: the same in every run, so that losses of different runs can be compared."""

MEDIA = ("video", "audio")


class Cell(NamedTuple):
    """What a loss is grouped by."""

    task: str
    audio_class: str
    medium: str
    sigma: float


@dataclass
class Tally:
    """Sums over the tokens of a cell: of the model's loss, and of the linear predictor's on the same tokens."""

    loss: float = 0.0
    linear: float = 0.0
    tokens: float = 0.0


@dataclass(frozen=True)
class Yardstick:
    """Weights (C,) of the loss and variances (C,) of the training channels, per medium, on the model's device."""

    weights: dict[str, torch.Tensor]
    variance: dict[str, torch.Tensor]

    @classmethod
    def of(cls, latents: LatentSet, device: torch.device) -> "Yardstick":
        """From the channel statistics of a latent set."""
        stats = {"video": latents.video_stats, "audio": latents.audio_stats}
        return cls(
            {medium: s.loss_weights.to(device) for medium, s in stats.items()},
            {medium: s.variance.float().to(device) for medium, s in stats.items()},
        )

    def expected(self, medium: str, sigmas: Sequence[float], prediction: str) -> float:
        """The best linear predictor's loss on data with exactly the training variances: mean over the sigmas."""
        levels = torch.tensor(sigmas)
        return linear_loss(self.variance[medium].cpu(), self.weights[medium].cpu(), levels, prediction).mean().item()


def fixed_sigmas(count: int) -> list[float]:
    """`count` levels spread evenly over (0, 1): the midpoints, so that their mean stands for uniform sigma."""
    return [(i + 0.5) / count for i in range(count)]


def chosen(latents: LatentSet, split: str, per_cell: int, tasks: Iterable[str]) -> list[tuple[SampleInfo, str]]:
    """Samples and tasks to measure: at most `per_cell` samples of each (task, class), first by key (a hash)."""
    taken: dict[tuple[str, str], int] = defaultdict(int)
    pairs = []
    for info in sorted(latents.samples(split), key=lambda info: info.key):
        for task in tasks:
            if task in info.tasks and taken[task, info.audio_class] < per_cell:
                taken[task, info.audio_class] += 1
                pairs.append((info, task))
    return pairs


def heldout_document(sample: Sample, task: str, sigma: float) -> Document:
    """A sample in a task at a fixed sigma, no caption dropped, with noise that depends on the sample's key alone."""
    position = int.from_bytes(blake2b(sample.key.encode(), digest_size=4).digest(), "big")
    noise = (
        draw_normal(NOISE_SEED, position, f"noise_{medium[0]}", tuple(getattr(sample, medium).shape))
        for medium in MEDIA
    )
    return Document(sample, task_named(task), Conditions(sigma, sigma, *noise))


def measure(
    model: MMDiT,
    latents: LatentSet,
    pairs: Sequence[tuple[SampleInfo, str]],
    settings: TrainSettings,
    yardstick: Yardstick,
) -> dict[Cell, Tally]:
    """Losses of the model's present weights by cell, over every pair and every fixed sigma. Changes nothing."""
    device = next(model.parameters()).device
    work = [(info, task, sigma) for info, task in pairs for sigma in fixed_sigmas(settings.evaluate.sigmas)]
    tallies: dict[Cell, Tally] = defaultdict(Tally)
    for group in _groups(work, settings.evaluate.tokens):
        documents = [heldout_document(latents.load(info.key), task, sigma) for info, task, sigma in group]
        batch = pack(documents, settings.model).to(device)
        with torch.no_grad(), precision_context(settings.precision, device):
            output = model(batch.packed)
        for medium in MEDIA:
            targets: Targets = getattr(batch, medium)
            prediction = settings.objective.prediction
            losses = row_losses(getattr(output, medium), targets, yardstick.weights[medium], prediction)
            linear = _linear_losses(targets, yardstick.weights[medium], yardstick.variance[medium], prediction)
            _add(tallies, batch, medium, losses, linear)
    return dict(tallies)


def totals(tallies: dict[Cell, Tally], **where: str) -> Tally:
    """The sum over the cells that match, e.g. `totals(tallies, medium="audio", task="T2A")`."""
    total = Tally()
    for cell, tally in tallies.items():
        if all(getattr(cell, name) == value for name, value in where.items()):
            total.loss += tally.loss
            total.linear += tally.linear
            total.tokens += tally.tokens
    return total


def _groups(work: list[tuple[SampleInfo, str, float]], budget: int) -> Iterator[list[tuple[SampleInfo, str, float]]]:
    group: list[tuple[SampleInfo, str, float]] = []
    used = 0
    for item in work:
        tokens = tokens_of(item[0], TASKS[item[1]])
        if group and used + tokens > budget:
            yield group
            group, used = [], 0
        group.append(item)
        used += tokens
    if group:
        yield group


def _linear_losses(targets: Targets, weights: torch.Tensor, variance: torch.Tensor, prediction: str) -> torch.Tensor:
    """The linear predictor's losses (R,) on these very tokens; fixed sigmas are above the floor, so v is exact."""
    error = linear_coefficient(variance, targets.sigma) * targets.noisy - target_velocity(targets, prediction)
    return (error.square() * weights).mean(-1) * targets.carries_loss


def _add(
    tallies: dict[Cell, Tally], batch: PackedBatch, medium: str, losses: torch.Tensor, linear: torch.Tensor
) -> None:
    targets: Targets = getattr(batch, medium)
    stacked = torch.stack([losses, linear, targets.carries_loss], dim=1)
    sums = stacked.new_zeros(len(batch.documents) + 1, 3).index_add(0, targets.document, stacked).tolist()
    lengths = batch.packed.lengths
    for i, document in enumerate(batch.documents):
        if not lengths[i][STREAMS.index(medium)]:
            continue
        sigma = document.conditions.sigma_video
        tally = tallies[Cell(document.task.name, document.sample.audio_class, medium, sigma)]
        tally.loss += sums[i][0]
        tally.linear += sums[i][1]
        tally.tokens += sums[i][2]
