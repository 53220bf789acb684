"""`evaluate`: the averaged weights' held-out loss per task, class and medium, against the content-blind yardstick."""

import json
import time
from collections.abc import Mapping
from operator import methodcaller
from pathlib import Path
from typing import Any

import torch

from manifests.errors import ConfigError
from manifests.files import replace
from pipeline import console
from trainer.base import load_base, open_latents
from trainer.checkpoint import Progress, latest, load_ema
from trainer.data.latents import LatentSet
from trainer.fits import check_fits
from trainer.heldout import Cell, Tally, chosen, fixed_sigmas, measure, readable, totals
from trainer.linear import linear_loss
from trainer.lora import add_adapters
from trainer.model.layout import MEDIA
from trainer.model.mmdit import MMDiT
from trainer.objective import Reading
from trainer.packing import media_rows
from trainer.parallel import join_world
from trainer.readings import readings_of
from trainer.sampling.weights import cast_products
from trainer.settings import TrainSettings
from trainer.tasks import TASKS


def evaluate(settings: TrainSettings, out: Path, stage: int) -> dict[str, Any]:
    """Measure the newest checkpoint of a stage, write OUT/report/evaluate-<stage>.json and return what it holds.

    Raises ConfigError when the stage has no checkpoint or no clip is held out.
    """
    began = time.perf_counter()
    device = join_world(settings.device).device
    latents = open_latents(settings, out)
    model, progress = load_averaged(settings, out, stage, latents, device)
    e = settings.evaluate
    pairs = chosen(latents, e.split, e.samples, TASKS, e.most)
    pairs, bad = readable(latents, pairs)
    if not pairs:
        raise ConfigError(
            "evaluate:empty",
            f"no clip in split {e.split!r}: set evaluate.split, or encode more sources",
        )
    readings = readings_of(latents, settings.objective, device, settings.model.patch)
    with console.ticking(f"evaluate stage {stage}", len(pairs) * e.sigmas, "passes") as ticker:
        tallies = measure(model, latents, pairs, settings, readings, ticker.advance)
    keys = sorted({info.key for info, _ in pairs})
    report = _report(settings, progress, tallies, readings, len(keys)) | {"unreadable": bad}
    for medium, loss in _bounds(latents, keys, readings, report["sigmas"], settings.model.patch).items():
        report["overall"][medium] |= loss
    report |= _since(out, stage, report) | {"seconds": round(time.perf_counter() - began, 2)}
    path = report_file(out, stage)
    replace(path, methodcaller("write", (json.dumps(report, indent=1) + "\n").encode()))
    return report


def report_file(out: Path, stage: int) -> Path:
    """Where a stage's evaluation lies."""
    return out / "report" / f"evaluate-{stage}.json"


def read_report(out: Path, stage: int) -> dict[str, Any]:
    """A stage's evaluation; raises ConfigError when it was not made yet."""
    path = report_file(out, stage)
    if not path.is_file():
        raise ConfigError("evaluate:absent", f"no {path}: run `klear-train evaluate --stage {stage}` first")
    return json.loads(path.read_text())


def load_averaged(
    settings: TrainSettings, out: Path, stage: int, latents: LatentSet, device: torch.device, lean: bool = False
) -> tuple[MMDiT, Progress]:
    """The model with the averaged weights of a stage's newest checkpoint, and that checkpoint's progress.

    lean: for sampling alone, `cast_products` before anything is loaded.
    Raises ConfigError when there is none, or it belongs to other latents or another model.
    """
    settings.stage(stage)
    folder = latest(out, stage)
    if folder is None:
        raise ConfigError(
            "checkpoint:absent", f"stage {stage} has no checkpoint: run `klear-train train --stage {stage}`"
        )
    check_fits(folder, settings, latents)
    with torch.device("meta"):
        model = MMDiT(settings.model)
        add_adapters(model, settings.lora)
    if lean:
        cast_products(model, settings.precision)
    load_base(model.to_empty(device=device), settings)
    progress = load_ema(folder, model)
    return model.eval().requires_grad_(False), progress


def _report(
    settings: TrainSettings,
    progress: Progress,
    tallies: dict[Cell, Tally],
    readings: Mapping[str, Reading],
    samples: int,
) -> dict[str, Any]:
    sigmas = fixed_sigmas(settings.evaluate.sigmas)
    cells = sorted({(c.task, c.audio_class) for c in tallies})
    return {
        "stage": progress.stage,
        "step": progress.step,
        "split": settings.evaluate.split,
        "samples": samples,
        "sigmas": sigmas,
        "overall": {m: _numbers(totals(tallies, medium=m)) for m in MEDIA},
        "by_sigma": {m: [_numbers(_at(tallies, m, sigma)) for sigma in sigmas] for m in MEDIA},
        "cells": [_cell(tallies, task, name) for task, name in cells],
    }


def _bounds(
    latents: LatentSet, keys: list[str], readings: Mapping[str, Reading], sigmas: list[float], patch: int
) -> dict[str, dict[str, float]]:
    """What a linear predictor expects to lose, mean over the sigmas: on data with the training set's channel variances
    (`linear_expected`), and on these clips when it is fitted to these very clips (`linear_best`)."""
    samples = [latents.load(key) for key in keys]
    found = {}
    for i, medium in enumerate(MEDIA):
        rows = torch.cat([media_rows(s, i, patch) for s in samples]).double()
        trained = readings[medium].variance.cpu()
        found[medium] = {
            "linear_expected": _linear(trained, readings[medium], sigmas),
            "linear_best": _linear(rows.var(0), readings[medium], sigmas),
        }
    return found


def _linear(variance: torch.Tensor, reading: Reading, sigmas: list[float]) -> float:
    return linear_loss(variance, reading.weights.cpu(), torch.tensor(sigmas), reading.prediction).mean().item()


def _cell(tallies: dict[Cell, Tally], task: str, audio_class: str) -> dict[str, Any]:
    row: dict[str, Any] = {"task": task, "class": audio_class}
    for medium in MEDIA:
        total = totals(tallies, task=task, audio_class=audio_class, medium=medium)
        if total.tokens:
            row[medium] = _numbers(total)
    return row


def _at(tallies: dict[Cell, Tally], medium: str, sigma: float) -> Tally:
    return totals({cell: tally for cell, tally in tallies.items() if cell.sigma == sigma}, medium=medium)


def _numbers(total: Tally) -> dict[str, float]:
    """Token means: the model's loss, the linear predictor's on the same tokens, their ratio (below 1 is better)."""
    loss, linear = total.loss / max(total.tokens, 1), total.linear / max(total.tokens, 1)
    return {"loss": loss, "linear": linear, "ratio": loss / linear if linear else float("nan"), "tokens": total.tokens}


def _since(out: Path, stage: int, report: Mapping[str, Any]) -> dict[str, Any]:
    """The overall losses of the stage before, where it was evaluated."""
    if stage == 1 or not report_file(out, stage - 1).is_file():
        return {}
    old = read_report(out, stage - 1)["overall"]
    return {"before": {m: old[m]["loss"] for m in MEDIA}}
