"""One update: the losses of a window's micro-batches, their gradients, the optimizer, the average."""

from collections.abc import Mapping, Sequence

import torch

from trainer.breakdown import Breakdown
from trainer.objective import Reading, global_loss, loss_counts, media_losses
from trainer.optim import update
from trainer.packing import PackedBatch
from trainer.parallel import precision_context
from trainer.run import Run
from trainer.settings import TrainSettings


def train_step(
    run: Run,
    settings: TrainSettings,
    batches: Sequence[PackedBatch],
    readings: Mapping[str, Reading],
    lr: float,
    breakdown: Breakdown | None = None,
) -> torch.Tensor:
    """One update. Returns (video loss, audio loss, gradient norm) on the device, global, without waiting for it.

    breakdown: told of every micro-batch and of the gradients before they are clipped.
    """
    counts = run.world.sum(torch.stack([loss_counts(batch) for batch in batches]).sum(0))
    sums = torch.zeros_like(counts)
    for batch in batches:
        with precision_context(settings.precision, run.world.device):
            output = run.model(batch.packed)
        losses = media_losses(output, batch, readings)
        if breakdown is not None:
            breakdown.watch(output, losses, batch)
        global_loss(losses, counts, settings.objective).backward()
        sums += torch.stack([losses.video.sum(), losses.audio.sum()]).detach()
    if breakdown is not None:
        breakdown.parameters.note()
    norm = update(run.model, run.optimizer, lr, settings.optim.clip)
    run.ema.update(run.model)
    return torch.cat([run.world.sum(sums) / counts, norm.detach().reshape(1)])
