"""One update: the losses of a window's micro-batches, their gradients, the verdict, the optimizer, the average."""

from collections.abc import Mapping, Sequence

import torch

from trainer.gradients import clipping, global_norm, gradients
from trainer.guard import document_shares
from trainer.objective import Reading, global_loss, loss_counts, media_losses
from trainer.observe.breakdown import Breakdown
from trainer.packing import PackedBatch
from trainer.parallel import begin_pass, precision_context
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

    All three are NaN where the guard skipped the step. breakdown: told of every micro-batch, and of the gradients
    before they are clipped.
    """
    counts = run.world.sum(torch.stack([loss_counts(batch) for batch in batches]).sum(0))
    sums, shares = torch.zeros_like(counts), []
    for turn, batch in enumerate(batches, 1):
        begin_pass(run.model, turn == len(batches))
        with precision_context(settings.precision, run.world.device):
            output = run.model(batch.packed)
        losses = media_losses(output, batch, readings)
        if breakdown is not None:
            breakdown.watch(output, losses, batch)
        global_loss(losses, counts, settings.objective).backward()
        sums += torch.stack([losses.video.sum(), losses.audio.sum()]).detach()
        shares.append(document_shares(losses, batch, counts))
    run.model.finish_gradients()
    grads = gradients(run.model.parameters())
    norm = global_norm(grads)
    if breakdown is not None:
        breakdown.parameters.note()
    totals = run.world.sum(torch.cat([sums, run.guard.flags(norm), run.stop.wish()]))
    reason = run.guard.judge(norm, totals[:2], totals[2:4])
    run.guard.note(run.progress.step, (reason, norm), batches, shares)
    run.stop.hear(totals[4:])
    skip = (reason > 0).float()
    run.optimizer.step(lr, skip, clipping(norm, settings.optim.clip))
    run.ema.update(run.model, skip)
    return torch.where(skip > 0, torch.nan, torch.cat([totals[:2] / counts, norm.reshape(1)]))
