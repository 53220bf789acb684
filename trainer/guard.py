"""Steps that would harm the weights are left out, on the device: nothing waits to learn that all is well.

A step is skipped on every rank alike when its loss or gradient norm is not finite, or when the norm is many times what
it has been. Weights, moments, averages and counts are then bit for bit what they were. What was skipped, and for which
samples, is read when numbers are read anyway (`trainer/skips.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pydantic import Field

from pipeline.settings import Settings
from trainer.objective import MediaLosses
from trainer.packing import PackedBatch

REASONS = ("taken", "not finite", "spike")


class GuardSettings(Settings):
    """spike: skip a step whose gradient norm is this many times its running mean (over about the last `span` steps).

    None: only steps that are not finite are skipped. warmup: steps to know before a norm can be called a spike.
    patience: so many skipped in a row make training go back to the checkpoint before them and on without their
    samples; rollbacks: so often in one stage, then it stops with an error.
    """

    spike: float | None = Field(default=20.0, gt=1)
    span: int = Field(default=100, ge=1)
    warmup: int = Field(default=100, ge=1)
    patience: int = Field(default=3, ge=1)
    rollbacks: int = Field(default=3, ge=0)


@dataclass(frozen=True)
class Judged:
    """A step not yet read. step: updates before it. reason: index into REASONS, and norm: scalars on the device.

    documents: of this process, as (position, key, task). shares: (D, 2) of video and audio, on the device: what each
    document adds to the two media's losses.
    """

    step: int
    reason: torch.Tensor
    norm: torch.Tensor
    documents: tuple[tuple[int, str, str], ...]
    shares: torch.Tensor


class Guard:
    """Judges every step. state: scalars on the device, part of every checkpoint: `norm`, the running mean of the
    gradient norm over the steps taken; `taken` and `skipped`, their counts. unread: steps since the last look."""

    def __init__(self, settings: GuardSettings, device: torch.device) -> None:
        self.settings = settings
        self.state = {name: torch.zeros((), device=device) for name in ("norm", "taken", "skipped")}
        self.unread: list[Judged] = []

    def flags(self, norm: torch.Tensor) -> torch.Tensor:
        """(2,) float32: whether this gradient norm (scalar) is not finite, and whether it is a spike.

        Sum them over the ranks before `judge`: then all decide alike, whatever their last bits.
        """
        wild = ~norm.isfinite()
        if self.settings.spike is None:
            return torch.stack([wild, torch.zeros_like(wild)]).float()
        known = self.state["taken"] >= self.settings.warmup
        return torch.stack([wild, known & (norm > self.settings.spike * self.state["norm"])]).float()

    def judge(self, norm: torch.Tensor, sums: torch.Tensor, flags: torch.Tensor) -> torch.Tensor:
        """The verdict, a float32 scalar: an index into REASONS. sums, flags: of all ranks. Counts the step."""
        wild = (flags[0] > 0) | ~sums.isfinite().all()
        reason = torch.where(wild, 1.0, torch.where(flags[1] > 0, 2.0, 0.0))
        skip, state = reason > 0, self.state
        share = (1 / (state["taken"] + 1)).clamp_min(1 / self.settings.span)
        state["norm"].copy_(torch.where(skip, state["norm"], state["norm"].lerp(norm, share)))
        state["taken"] += (~skip).float()
        state["skipped"] += skip.float()
        return reason

    def note(
        self,
        step: int,
        verdict: tuple[torch.Tensor, torch.Tensor],
        batches: Sequence[PackedBatch],
        shares: Sequence[torch.Tensor],
    ) -> None:
        """Keep what naming the samples of a skipped step needs. verdict: reason and norm. shares: a (D, 2) a batch."""
        documents = tuple((d.position, d.sample.key, d.task.name) for batch in batches for d in batch.documents)
        self.unread.append(Judged(step, *verdict, documents, torch.cat(list(shares))))


def document_shares(losses: MediaLosses, batch: PackedBatch, counts: torch.Tensor) -> torch.Tensor:
    """(D, 2): what each document of this process's micro-batch adds to the mean losses of video and audio.

    counts: (2,) rows with loss of the whole step. Documents in the order of `batch.documents`; pads are left out.
    """
    columns = []
    for rows, targets, count in zip(losses, (batch.video, batch.audio), counts.clamp_min(1), strict=True):
        sums = rows.new_zeros(len(batch.documents) + 1).index_add(0, targets.document, rows.detach())
        columns.append(sums[:-1] / count)
    return torch.stack(columns, dim=1)
