"""The training loop: one stage, from wherever it stands to its end."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import torch

from pipeline import console
from trainer.base import open_latents
from trainer.checkpoint import Progress, latest
from trainer.determinism import make_deterministic
from trainer.feed import Feed, Window
from trainer.garbage import collecting
from trainer.gpus import peak_flops
from trainer.heldout import chosen, measure, readable, totals
from trainer.lengths import make_ready
from trainer.objective import Reading
from trainer.observe.metrics import Metrics
from trainer.observe.sinks import check_sinks
from trainer.observe.triggers import Triggers
from trainer.parallel import join_world
from trainer.readings import readings_of
from trainer.rollback import look_back
from trainer.run import Run, start_run
from trainer.schedule import learning_rate
from trainer.settings import TrainSettings
from trainer.step import train_step
from trainer.unreadable import report_unreadable, report_unusable


def train(settings: TrainSettings, out: Path, stage: int) -> dict[str, Any]:
    """Train one stage to its last step and return its summary; a stage that is done returns at once.

    Under torchrun every process calls this. Run again after any interruption it goes on from the newest checkpoint,
    with the losses it would have had. Raises ConfigError as `start_run` and `find_latents` do.
    """
    check_sinks(settings.log)
    if settings.deterministic:
        make_deterministic()
    world = join_world(settings.device, settings.parallel.context)
    plan = settings.stage(stage)
    latents = open_latents(settings, out)
    report_unusable(latents.unusable, out, world)
    run = start_run(settings, out, stage, latents, world)
    make_ready(run, settings)
    readings = readings_of(latents, settings.objective, world.device, settings.model.patch)
    began, first = time.perf_counter(), run.progress
    with (
        Metrics(run, settings, _peak(world.device)) as metrics,
        Triggers(settings.profile, out, stage, world) as triggers,
        collecting(settings.gc_every) as collect,
        run.stop,
        run.saver,
        Feed(run, settings) as feed,
    ):
        if run.progress.step == 0:
            _heldout(run, settings, readings, metrics)
        while run.progress.step < plan.steps:
            window = feed.next()
            report_unreadable(window.lost, out, stage, world)
            lr = learning_rate(plan, run.progress.step)
            values = train_step(run, settings, window.batches, readings, lr, metrics.breakdown)
            run.progress = _moved(run.progress, window, first.seconds + time.perf_counter() - began)
            step, last = run.progress.step, run.progress.step == plan.steps
            metrics.add(step, values, window, lr)
            logged = step % settings.log_every == 0
            triggers.after(step, logged)
            collect(step)
            saving, leaving = last or step % settings.save_every == 0, run.stop.agreed()
            if (saving or leaving or logged) and look_back(run, settings):
                feed.reset()
                continue
            if last or step % settings.heldout_every == 0:
                _heldout(run, settings, readings, metrics)
            run.saver.poll()
            if saving or leaving:
                run.save()
            if leaving and not last:
                _leave(run)
    return summary(run, settings, metrics.losses, run.progress.step - first.step, time.perf_counter() - began)


def _peak(device: torch.device) -> float | None:
    """FLOP/s of the device, for MFU; None where it is not known."""
    return peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def _leave(run: Run) -> NoReturn:
    """Finish the checkpoint, say how to go on, and end the process with the signal's exit code."""
    run.saver.finish()
    if run.world.first:
        step = run.progress.step
        console.say(f"stage {run.progress.stage} at step {step}: the same command goes on from here", "saved", "bold")
    raise SystemExit(run.stop.code)


def _moved(progress: Progress, window: Window, seconds: float) -> Progress:
    """Where training stands after a window."""
    samples = progress.samples + len(window.draws)
    return replace(progress, step=progress.step + 1, position=window.position, samples=samples, seconds=seconds)


def _heldout(run: Run, settings: TrainSettings, readings: Mapping[str, Reading], metrics: Metrics) -> None:
    """Measure the averaged weights on a few held-out clips (T2AV, every class) and note it in the progress."""
    most = settings.evaluate.in_loop
    pairs = chosen(run.latents, settings.evaluate.split, most, ["T2AV"], most)
    pairs, bad = readable(run.latents, pairs)
    for key, why in bad.items() if run.world.first else ():
        console.say(f"held-out {key} ({why})", "unreadable", "bold yellow")
    if not pairs:
        return
    with metrics.aside(), run.ema.in_place_of(run.model):
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
        "skipped": int(run.guard.state["skipped"]),
        "rollbacks": progress.rollbacks,
        "mixture": dict(progress.mixture),
        "checkpoint": str(folder.relative_to(run.out)) if folder else None,
    }
