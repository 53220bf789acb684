"""What a step is fed: the global cut of the stream, and this process's share of it as packed micro-batches."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.batches import cut, share
from trainer.data.stream import Draw
from trainer.documents import Document, draw_conditions
from trainer.packing import PackedBatch, pack
from trainer.run import Run
from trainer.settings import TrainSettings
from trainer.tasks import task_named


@dataclass(frozen=True)
class Window:
    """One step's samples. draws, tokens, position (of the next step) are of all processes: functions of the stream.

    batches: this process's micro-batches, on the device; every process has equally many, since each is a collective
    forward and backward pass.
    """

    batches: tuple[PackedBatch, ...]
    draws: tuple[Draw, ...]
    tokens: int
    position: int


def next_window(run: Run, settings: TrainSettings, budget: int) -> Window:
    """The window at the run's position; budget: its tokens, over all streams and processes."""
    draws, tokens, position = cut(run.stream, run.progress.position, budget, run.latents.info)
    mine = share(draws, tokens, run.world.data_rank, run.world.data_size)
    return Window((make_batch(run, settings, mine),), tuple(draws), sum(tokens), position)


def make_batch(run: Run, settings: TrainSettings, draws: Sequence[Draw]) -> PackedBatch:
    """Samples with their draws, packed and on their way to the device."""
    rule = settings.objective.draws(settings.seed)
    documents = []
    for draw in draws:
        sample = run.latents.load(draw.key)
        documents.append(Document(sample, task_named(draw.task), draw_conditions(sample, draw.position, rule)))
    return pack(documents, settings.model).to(run.world.device)
