"""The training loop: one stage, from wherever it stands to its end."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainer.batches import cut, share
from trainer.checkpoint import latest
from trainer.data.latents import LatentSet, find_latents
from trainer.data.stream import Draw
from trainer.documents import Document, DrawSettings, draw_conditions
from trainer.heldout import chosen, measure, totals
from trainer.metrics import Metrics
from trainer.objective import Reading, global_loss, loss_counts, media_losses
from trainer.optim import learning_rate, update
from trainer.packing import PackedBatch, pack
from trainer.parallel import join_world, precision_context
from trainer.readings import readings_of
from trainer.run import Run, start_run
from trainer.settings import TrainSettings
from trainer.tasks import task_named


def train(settings: TrainSettings, out: Path, stage: int) -> dict[str, Any]:
    """Train one stage to its last step and return its summary; a stage that is done returns at once.

    Under torchrun every process calls this. Run again after any interruption it goes on from the newest checkpoint,
    with the losses it would have had. Raises ConfigError as `start_run` and `find_latents` do.
    """
    world = join_world(settings.device)
    plan = settings.stage(stage)
    latents = LatentSet(find_latents(out, settings.latents))
    run = start_run(settings, out, stage, latents, world)
    readings = readings_of(latents, settings.objective, world.device)
    began, first = time.perf_counter(), run.progress
    with Metrics(out, stage, plan.steps, run.progress.step, world) as metrics:
        if run.progress.step == 0:
            _heldout(run, settings, readings, metrics)
        while run.progress.step < plan.steps:
            step = run.progress.step
            draws, tokens, position = cut(run.stream, run.progress.position, plan.tokens, latents.info)
            batch = make_batch(run, settings, share(draws, tokens, world.rank, world.size))
            values = train_step(run, settings, batch, readings, learning_rate(plan, step))
            seconds = first.seconds + time.perf_counter() - began
            samples = run.progress.samples + len(draws)
            run.progress = replace(run.progress, step=step + 1, position=position, samples=samples, seconds=seconds)
            metrics.add(step + 1, values, len(draws), sum(tokens), learning_rate(plan, step), settings.log_every)
            last = step + 1 == plan.steps
            if last or (step + 1) % settings.heldout_every == 0:
                _heldout(run, settings, readings, metrics)
            if last or (step + 1) % settings.save_every == 0:
                run.save(settings.keep_last)
    return summary(run, settings, metrics.losses, run.progress.step - first.step, time.perf_counter() - began)


def make_batch(run: Run, settings: TrainSettings, draws: list[Draw]) -> PackedBatch:
    """This rank's samples of a step, with their draws, packed and on their way to the device."""
    objective = settings.objective
    rule = DrawSettings(settings.seed, objective.drop, objective.coupling)
    documents = []
    for draw in draws:
        sample = run.latents.load(draw.key)
        documents.append(Document(sample, task_named(draw.task), draw_conditions(sample, draw.position, rule)))
    return pack(documents, settings.model).to(run.world.device)


def train_step(
    run: Run, settings: TrainSettings, batch: PackedBatch, readings: Mapping[str, Reading], lr: float
) -> torch.Tensor:
    """One update. Returns (video loss, audio loss, gradient norm) on the device, global, without waiting for it."""
    counts = run.world.sum(loss_counts(batch))
    with precision_context(settings.precision, run.world.device):
        output = run.model(batch.packed)
    losses = media_losses(output, batch, readings)
    global_loss(losses, counts, settings.objective).backward()
    norm = update(run.model, run.optimizer, lr, settings.optim.clip)
    run.ema.update(run.model)
    sums = run.world.sum(torch.stack([losses.video.sum(), losses.audio.sum()]).detach())
    return torch.cat([sums / counts, norm.detach().reshape(1)])


def _heldout(run: Run, settings: TrainSettings, readings: Mapping[str, Reading], metrics: Metrics) -> None:
    """Measure the averaged weights on a few held-out clips (T2AV, every class) and note it in the progress."""
    most = settings.evaluate.in_loop
    pairs = chosen(run.latents, settings.evaluate.split, most, ["T2AV"], most)
    if not pairs:
        return
    with run.ema.in_place_of(run.model):
        tallies = measure(run.model, run.latents, pairs, settings, readings)
    point: dict[str, float] = {"step": run.progress.step}
    for medium in ("video", "audio"):
        total = totals(tallies, medium=medium)
        point |= {medium: total.loss / total.tokens, f"{medium}_linear": total.linear / total.tokens}
    run.progress = replace(run.progress, heldout=[*run.progress.heldout, point])
    metrics.point(point)


def summary(run: Run, settings: TrainSettings, losses: list[dict[str, float]], steps: int, seconds: float) -> dict:
    """What a stage did, JSON-ready."""
    progress, rate = run.progress, steps / seconds if seconds > 0 else 0.0
    folder = latest(run.out, progress.stage)
    return {
        "stage": progress.stage,
        "step": progress.step,
        "steps": settings.stage(progress.stage).steps,
        "steps_now": steps,
        "samples": progress.samples,
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "processes": run.world.size,
        "device": str(run.world.device),
        "seconds": round(seconds, 2),
        "steps_per_s": round(rate, 3),
        "losses": losses[-1:],
        "heldout": progress.heldout,
        "mixture": dict(progress.mixture),
        "checkpoint": str(folder.relative_to(run.out)) if folder else None,
    }
