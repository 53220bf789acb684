"""What the loss is made of, and who pulls at the network: by task, audio class, medium and sigma, at no wait a step.

A *gradient share* here is the part of sum |dL/d(output row)|^2 that falls to the rows of a cell: how loudly those rows
speak at the network's output, before it mixes them; L is the step's weighted loss, so modality weights and token counts
are in it. The shares of all cells add up to 1. It is exact and costs one pass over the output's gradient. It is not the
share of a parameter's gradient, where rows may cancel: that is `trainer/observe/shares.py`, by parts of the network.

On the device each micro-batch leaves (documents, 4) sums a medium; which cell a document belongs to is known on the
host. Both meet on the host when a line is logged, where ranks are added up too.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.documents import Document
from trainer.model.layout import MEDIA
from trainer.model.mmdit import Prediction
from trainer.objective import MediaLosses
from trainer.observe.shares import ParameterShares
from trainer.packing import PackedBatch
from trainer.parallel import World
from trainer.tasks import TASKS

BUCKETS = 8
"""Sigma buckets of equal width over [0, 1]."""
_LOSS, _ROWS, _PULL, _BAD = range(4)
_TASKS = tuple(TASKS)

Marginal = dict[str, dict[str, dict[str, float]]]
"""By name and medium: `loss` (mean over the rows), `rows` (with loss) and `share` (of the gradient)."""


class Breakdown:
    """Collects an interval of steps. classes: the audio classes there are, the same on every rank.

    parameters: the shares by parts of the network, to be told of every step's gradients.
    """

    def __init__(self, classes: Sequence[str], model: nn.Module, world: World) -> None:
        self.parameters = ParameterShares(model, world)
        self._classes, self._world = tuple(classes), world
        self._sums: list[torch.Tensor] = []
        self._cells: list[tuple[int, int, int, int]] = []

    def watch(self, output: Prediction, losses: MediaLosses, batch: PackedBatch) -> None:
        """Note a micro-batch's losses now, and the gradient at its outputs when backward comes by."""
        for medium, name in enumerate(MEDIA):
            self._watch(getattr(output, name), getattr(losses, name).detach(), batch, medium)

    def collect(self) -> dict[str, Any]:
        """The interval's `Marginal`s by `task`, `class`, `sigma` and `capability` (class/task); shares of the
        parameters' gradient by `stream` and `part`; and `bad`: rows whose loss or gradient was no number, left out.

        Waits for the device; all ranks call it.
        """
        shape = (len(_TASKS), len(self._classes), len(MEDIA), BUCKETS, 4)
        cells = np.zeros(shape)
        if self._cells:
            np.add.at(cells, tuple(np.array(self._cells).T), torch.cat(self._sums).double().cpu().numpy())
        total = self._world.sum(torch.from_numpy(cells).to(self._world.device)).cpu().numpy()
        found = marginals(total, self._classes) | self.parameters.collect()
        self.clear()
        return found

    def clear(self) -> None:
        """Forget the interval so far."""
        self._sums, self._cells = [], []
        self.parameters.clear()

    def _watch(self, output: torch.Tensor, losses: torch.Tensor, batch: PackedBatch, medium: int) -> None:
        targets = getattr(batch, MEDIA[medium])
        cells = [self._cell(document, medium) for document in batch.documents]

        def seen(gradient: torch.Tensor) -> None:
            pull = gradient.detach().float().square().sum(-1)
            self._sums.append(per_document(losses, targets.carries_loss, pull, targets.document, len(cells)))
            self._cells.extend(cells)

        output.register_hook(seen)

    def _cell(self, document: Document, medium: int) -> tuple[int, int, int, int]:
        drawn = document.conditions
        sigma = (drawn.sigma_video, drawn.sigma_audio)[medium]
        bucket = min(int(sigma * BUCKETS), BUCKETS - 1)
        return (
            _TASKS.index(document.task.name),
            self._classes.index(document.sample.audio_class),
            medium,
            bucket,
        )


def per_document(
    losses: torch.Tensor, carries_loss: torch.Tensor, pull: torch.Tensor, document: torch.Tensor, count: int
) -> torch.Tensor:
    """Sums over the rows of each document, (count, 4): of loss, of rows with loss, of |gradient|^2, of bad rows.

    losses, carries_loss, pull: (R,) float32; document: (R,) int64, `count` for pads. By a product with a 0/1 matrix:
    always in the same order, unlike a scatter on a GPU. Numbers that are none count as bad rows and are 0 elsewhere,
    so that they do not reach the sums of other documents.
    """
    good = losses.isfinite() & pull.isfinite()
    columns = torch.stack([losses, carries_loss, pull, torch.ones_like(pull)], dim=1)
    keep = torch.stack([good, good, good, ~good], dim=1)
    member = document[:, None] == torch.arange(count, device=document.device)
    return member.float().T @ torch.where(keep, columns, 0.0)


def marginals(cells: np.ndarray, classes: Sequence[str]) -> dict[str, Any]:
    """Sums (tasks, classes, 2, BUCKETS, 4) float64 as named marginals; cells without rows are left out."""
    whole = cells[..., _PULL].sum()
    pairs = cells.sum(3).swapaxes(0, 1).reshape(-1, len(MEDIA), 4)
    return {
        "task": _named(_TASKS, cells.sum((1, 3)), whole),
        "class": _named(classes, cells.sum((0, 3)), whole),
        "sigma": _named(bucket_names(), cells.sum((0, 1)).swapaxes(0, 1), whole),
        "capability": _named([f"{name}/{task}" for name in classes for task in _TASKS], pairs, whole),
        "bad": int(cells[..., _BAD].sum()),
    }


def bucket_names() -> list[str]:
    """`0.000-0.125` and so on."""
    return [f"{i / BUCKETS:.3f}-{(i + 1) / BUCKETS:.3f}" for i in range(BUCKETS)]


def _named(names: Sequence[str], sums: np.ndarray, whole: float) -> Marginal:
    """sums: (names, 2, 4)."""
    named: Marginal = {}
    for name, row in zip(names, sums, strict=True):
        media = {medium: _numbers(row[i], whole) for i, medium in enumerate(MEDIA) if row[i][_ROWS]}
        if media:
            named[name] = media
    return named


def _numbers(sums: np.ndarray, whole: float) -> dict[str, float]:
    share = sums[_PULL] / whole if whole else 0.0
    return {"loss": float(sums[_LOSS] / sums[_ROWS]), "rows": int(sums[_ROWS]), "share": float(share)}
