"""The trainer's held-out losses, read from the JSON files that `klear-train evaluate` leaves in OUT/report.

Read: stage, step, split, samples, sigmas; overall {medium: {loss, linear, ratio}}; by_sigma {medium: [{loss, linear}]};
cells [{task, class, medium: {ratio}}]; and mixture-<stage>.json: changes [{capability, old, score, new, why}].
"""

import json
from typing import Any

from manifests import files
from manifests.files import AnyPath
from pipeline.report.figure import FAINT, KEPT, LIMIT, REJECTED, canvas, svg

MEDIA = ("video", "audio")


def read(folder: AnyPath) -> list[dict[str, Any]]:
    """The evaluations in a folder, by stage. A file of another form is left out, with its name and what it lacks."""
    found = []
    for path in _named(folder, "evaluate-"):
        try:
            body = json.loads(files.read(path))
            rows = [{"medium": medium, **_numbers(body["overall"][medium])} for medium in MEDIA]
            about = {key: body[key] for key in ("stage", "step", "split", "samples", "sigmas")}
            plot = _by_sigma(body["stage"], body["sigmas"], body["by_sigma"])
            found.append({**about, "overall": rows, "svg": plot, "cells": _cells(body["cells"])})
        except (ValueError, KeyError, TypeError) as error:
            found.append({"stage": path.stem, "unread": f"{path.name} has another form: {error!r}"})
    return found


def mixtures(folder: AnyPath) -> list[dict[str, Any]]:
    """The re-balanced sampling weights, by stage."""
    found = []
    for path in _named(folder, "mixture-"):
        body = json.loads(files.read(path))
        found.append({"stage": path.stem.partition("-")[2], "changes": body.get("changes", [])})
    return found


def _named(folder: AnyPath, start: str) -> list[AnyPath]:
    return [folder / name for name in files.names(folder) if name.startswith(start) and name.endswith(".json")]


def _numbers(cell: dict[str, float]) -> dict[str, float]:
    return {name: cell[name] for name in ("loss", "linear", "ratio")}


def _cells(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """Ratios loss / linear as a table class x task, one number a medium."""
    tasks = list(dict.fromkeys(cell["task"] for cell in cells))
    classes = list(dict.fromkeys(cell["class"] for cell in cells))
    by_key = {(cell["class"], cell["task"]): cell for cell in cells}
    rows = [
        {"class": name, "cells": [_ratios(by_key.get((name, task), {})) for task in tasks]} for name in sorted(classes)
    ]
    return {"tasks": tasks, "rows": rows}


def _ratios(cell: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"medium": medium, "ratio": cell[medium]["ratio"]} for medium in MEDIA if medium in cell]


def _by_sigma(stage: int, sigmas: list[float], losses: dict[str, list[dict[str, float]]]) -> str:
    """Loss at each sigma, the model's and (dashed) the linear predictor's, a row a medium."""
    figure, axes = canvas(480, 330, len(MEDIA), left=44, top=22, gap=0.4)
    for axis, medium in zip(axes, MEDIA):
        axis.plot(sigmas, [row["loss"] for row in losses[medium]], color=KEPT, marker="o", markersize=3.5)
        axis.plot(sigmas, [row["linear"] for row in losses[medium]], color=LIMIT, linestyle="--", linewidth=1.2)
        worse = [row["loss"] > row["linear"] for row in losses[medium]]
        axis.fill_between(
            sigmas,
            [row["loss"] for row in losses[medium]],
            [row["linear"] for row in losses[medium]],
            where=worse,
            color=REJECTED,
            alpha=0.25,
        )
        axis.set_title(f"{medium}: model (solid), linear predictor (dashed)", loc="left", fontsize=10, pad=2)
        axis.set_ylim(bottom=0)
        axis.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.6)
    axes[-1].set_xlabel("sigma (0 clean, 1 noise)")
    return svg(figure, f"Held-out loss by sigma, stage {stage}")
