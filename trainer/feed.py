"""What a step is fed: the global cut of the stream, and this process's share of it as packed micro-batches."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

import torch

from manifests.errors import MediaError
from trainer.ahead import Ahead
from trainer.batches import Grain, cut, load_of
from trainer.context import split_rows
from trainer.data.latents import LatentSet
from trainer.data.sample import Sample, blank
from trainer.data.stream import Draw
from trainer.documents import Document, draw_conditions
from trainer.flops import batch_load, training_cost
from trainer.packing import PackedBatch, pack
from trainer.partition import Partition, partition
from trainer.run import Run
from trainer.settings import TrainSettings
from trainer.tasks import task_named

Lost = tuple[Draw, str]
"""A draw whose sample could not be loaded, and why."""


@dataclass(frozen=True)
class Window:
    """One step's samples. draws, tokens, position (of the next step) are of all processes: functions of the stream.

    batches: this process's micro-batches, on the device; every process has equally many, since each is a collective
    forward and backward pass. lost: what this process had to leave out; it counts in no loss.
    flops: of training on this process's documents, pads left out. imbalance, waiting, fill: see `Partition`, predicted
    for all processes. waited_s: seconds that the loop waited for this window.
    """

    batches: tuple[PackedBatch, ...]
    draws: tuple[Draw, ...]
    tokens: int
    position: int
    lost: tuple[Lost, ...] = ()
    flops: int = 0
    imbalance: float = 1.0
    waiting: float = 1.0
    fill: float = 1.0
    waited_s: float = 0.0


class Feed:
    """The windows of a run from its position on, one a step, without the positions left out. Use as a context.

    With `batch.prefetch` a thread cuts, loads, draws and packs them ahead; the windows are the same without it. While
    the feed is open the run's stream belongs to it.
    """

    def __init__(self, run: Run, settings: TrainSettings) -> None:
        self._run, self._settings = run, settings
        self._cost = training_cost(settings.model)
        self._ahead: Ahead[Window] | None = None
        self._start()

    def __enter__(self) -> "Feed":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def next(self) -> Window:
        """The next window, on its way to the device.

        Raises ConfigError when the model's patches do not divide a picture, and whatever made a window fail.
        """
        began = time.perf_counter()
        window = next(self._windows) if self._ahead is None else self._ahead.next()
        waited = time.perf_counter() - began
        batches = tuple(batch.to(self._run.world.device) for batch in window.batches)
        return replace(window, batches=batches, waited_s=waited)

    def reset(self) -> None:
        """Go on from where the run's progress now stands; windows made ahead are dropped."""
        self.close()
        self._run.latents.forget()
        self._start()

    def close(self) -> None:
        """End the thread."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead = None

    def _start(self) -> None:
        progress = self._run.progress
        self._windows = self._make(progress.position, frozenset(progress.left_out))
        if self._settings.batch.prefetch:
            self._ahead = Ahead(self._windows, self._settings.batch.prefetch)

    def _make(self, position: int, skip: frozenset[int]) -> Iterator[Window]:
        """Windows on the host, from a position on; in pinned memory where the device is a GPU."""
        world, grain = self._run.world, Grain.of(self._settings.model)
        budget = self._settings.stage(self._run.progress.stage).tokens
        if world.device.type == "cuda":
            torch.cuda.set_device(world.device)  # a new thread would pin its memory on device 0
        while True:
            draws, tokens, position = cut(self._run.stream, position, budget, self._run.latents.info, skip, grain)
            split = self._split(draws, tokens)
            yield self._window(draws, split, sum(tokens), position)

    def _split(self, draws: Sequence[Draw], tokens: Sequence[int]) -> Partition:
        info, grain = self._run.latents.info, Grain.of(self._settings.model)
        flops = [self._cost(load_of(info(draw.key), task_named(draw.task), grain)) for draw in draws]
        return partition(tokens, flops, self._run.world.data_size, self._settings.batch)

    def _window(self, draws: Sequence[Draw], split: Partition, tokens: int, position: int) -> Window:
        lost: list[Lost] = []
        mine = split.slots[self._run.world.data_rank]
        self._run.latents.prefetch(draws[i].key for slot in mine for i in slot)
        rooms = [max(map(len, turn)) for turn in zip(*split.slots)]
        batches = [
            make_batch(self._run, self._settings, [draws[i] for i in slot], lost, room)
            for slot, room in zip(mine, rooms, strict=True)
        ]
        flops = sum(self._cost(batch_load(batch.packed)) for batch in batches) // self._run.world.context
        if self._run.world.device.type == "cuda":
            batches = [batch.pin_memory() for batch in batches]
        told = (split.imbalance, split.waiting, split.fill)
        return Window(tuple(batches), tuple(draws), tokens, position, tuple(lost), flops, *told)


def make_batch(
    run: Run, settings: TrainSettings, draws: Sequence[Draw], lost: list[Lost], room: int = 1
) -> PackedBatch:
    """Samples with their draws, packed: this process's rows of them. room: see `pack`.

    A sample that cannot be loaded is noted in `lost` and left out; where processes share rows, a document of its shapes
    and without loss takes its place, since a neighbour may have read it.
    """
    rule = settings.objective.draws(settings.seed)
    documents = []
    for draw in draws:
        sample, read = _load(run.latents, draw, lost), True
        if sample is None:
            if run.world.context == 1:
                continue
            sample, read = blank(run.latents.info(draw.key), settings.model), False
        drawn = draw_conditions(sample, draw.position, rule)
        drawn = drawn if read else replace(drawn, sigma_video=0.0, sigma_audio=0.0)
        documents.append(Document(sample, task_named(draw.task), drawn, draw.position))
    multiple = run.world.context * settings.parallel.row_align
    whole = pack(documents, settings.model, multiple=multiple, room=room)
    return split_rows(whole, run.world.context_rank, run.world.context)


def _load(latents: LatentSet, draw: Draw, lost: list[Lost]) -> Sample | None:
    try:
        return latents.load(draw.key)
    except MediaError as error:
        lost.append((draw, f"{error.code}: {error.message}"))
        return None
