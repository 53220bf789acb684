"""Held-out flow-matching loss at fixed noise and fixed sigmas, beside the content-blind linear predictor's."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from typing import NamedTuple

import torch
import torch.distributed as dist

from manifests.errors import MediaError
from trainer.batches import Grain, tokens_of
from trainer.data.draws import draw_normal
from trainer.data.latents import LatentSet
from trainer.data.sample import Sample, SampleInfo
from trainer.documents import Conditions, Document
from trainer.linear import linear_coefficient
from trainer.model.layout import MEDIA, STREAMS
from trainer.model.mmdit import MMDiT
from trainer.objective import SIGMA_FLOOR, Reading, row_losses, target_velocity
from trainer.packing import PackedBatch, Targets, pack
from trainer.parallel import precision_context, whole_documents
from trainer.settings import TrainSettings
from trainer.tasks import TASKS, task_named

NOISE_SEED = 20_260_104
"""Of the held-out noise: the same in every run, so that losses of different runs can be compared."""


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


def fixed_sigmas(count: int) -> list[float]:
    """`count` levels spread evenly over (0, 1): the midpoints, so that their mean stands for uniform sigma."""
    return [(i + 0.5) / count for i in range(count)]


def chosen(
    latents: LatentSet, split: str, per_cell: int, tasks: Iterable[str], most: int
) -> list[tuple[SampleInfo, str]]:
    """Samples and tasks to measure: `per_cell` of each (task, class), first by key (a hash), at most `most` in all.

    Every cell gets its first sample before any gets its second.
    """
    samples, wanted = latents.samples(split), list(tasks)
    cells = {cell: samples.serving(*cell)[:per_cell].tolist() for cell in samples.counts if cell[1] in wanted}
    order = sorted(cells, key=lambda cell: (cells[cell][0], wanted.index(cell[1])))
    rounds = ((cells[cell][n], cell[1]) for n in range(per_cell) for cell in order if n < len(cells[cell]))
    return [(latents.index.info(row), task) for row, task in islice(rounds, most)]


def readable(
    latents: LatentSet, pairs: Sequence[tuple[SampleInfo, str]]
) -> tuple[list[tuple[SampleInfo, str]], dict[str, str]]:
    """The pairs whose samples every process can read, and why not, by key. All processes call it together."""
    bad: dict[str, str] = {}
    for info, _ in pairs:
        try:
            latents.load(info.key)
        except MediaError as error:
            bad[info.key] = f"{error.code}: {error.message}"
    if dist.is_initialized():
        everyone: list[dict[str, str]] = [{}] * dist.get_world_size()
        dist.all_gather_object(everyone, bad)
        bad = {key: why for each in everyone for key, why in each.items()}
    return [(info, task) for info, task in pairs if info.key not in bad], bad


def heldout_document(sample: Sample, task: str, sigma: float) -> Document:
    """A sample in a task at a fixed sigma, no caption dropped, with noise that depends on the sample's key alone."""
    position = int.from_bytes(blake2b(sample.key.encode(), digest_size=4).digest(), "big")
    noise_video = draw_normal(NOISE_SEED, position, "noise_v", tuple(sample.video.shape))
    noise_audio = draw_normal(NOISE_SEED, position, "noise_a", tuple(sample.audio.shape))
    return Document(sample, task_named(task), Conditions(sigma, sigma, noise_video, noise_audio))


def measure(
    model: MMDiT,
    latents: LatentSet,
    pairs: Sequence[tuple[SampleInfo, str]],
    settings: TrainSettings,
    readings: Mapping[str, Reading],
    advance: Callable[[int], None] = lambda done: None,
) -> dict[Cell, Tally]:
    """Losses of the model's present weights by cell, over every pair and every fixed sigma. Changes nothing.

    advance: told the number of passes (a pair at a sigma) done.
    """
    device, training = next(model.parameters()).device, model.training
    model.eval()
    work = [(info, task, sigma) for info, task in pairs for sigma in fixed_sigmas(settings.evaluate.sigmas)]
    tallies: dict[Cell, Tally] = defaultdict(Tally)
    for group in _groups(work, settings.evaluate.tokens, Grain.of(settings.model)):
        documents = [heldout_document(latents.load(info.key), task, sigma) for info, task, sigma in group]
        batch = pack(documents, settings.model).to(device)
        with torch.no_grad(), precision_context(settings.precision, device), whole_documents(model):
            output = model(batch.packed)
        for medium in MEDIA:
            targets: Targets = getattr(batch, medium)
            losses = row_losses(getattr(output, medium), targets, readings[medium])
            linear = _linear_losses(targets, readings[medium])
            _add(tallies, batch, medium, losses, linear)
        advance(len(group))
    model.train(training)
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


def _groups(
    work: list[tuple[SampleInfo, str, float]], budget: int, grain: Grain
) -> Iterator[list[tuple[SampleInfo, str, float]]]:
    group: list[tuple[SampleInfo, str, float]] = []
    used = 0
    for item in work:
        tokens = tokens_of(item[0], TASKS[item[1]], grain)
        if group and used + tokens > budget:
            yield group
            group, used = [], 0
        group.append(item)
        used += tokens
    if group:
        yield group


def _linear_losses(targets: Targets, reading: Reading) -> torch.Tensor:
    """The linear predictor's losses (R,) on these very tokens, through the same floor and weights."""
    slope = linear_coefficient(reading.variance, targets.sigma)
    shrink = targets.sigma / targets.sigma.clamp_min(SIGMA_FLOOR) if reading.prediction == "x" else 1.0
    error = slope * targets.noisy * torch.as_tensor(shrink)[..., None] - target_velocity(targets, reading.prediction)
    return (error.square() * reading.weights).mean(-1) * targets.carries_loss


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
