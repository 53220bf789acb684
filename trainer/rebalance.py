"""Re-balancing between stages: weights of the sample stream move towards the capabilities that lag.

The rule (paper section 3.3 gives the idea, no formula; after Group DRO / DoReMi's exponentiated update, with a trust
region and floors "while preserving overall competency"):

    score s_c     held-out loss / the content-blind linear predictor's, 1 = learnt nothing, lower is better
    deficit d_c   clip((s_c - best) / (1 - best), 0, 1), best = the lowest score; 0 for one that was not measured
    w_c           old w_c * exp(eta d_c), normalised; mixed with a uniform share;
                  kept within [1 / trust, trust] of its old weight and above the floor; normalised
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from operator import methodcaller
from pathlib import Path
from typing import Any

from manifests.errors import ConfigError
from manifests.files import replace
from trainer.settings import RebalanceSettings


@dataclass(frozen=True)
class Change:
    """One capability's move. score is None when it has no held-out clip; ratio is new / old."""

    capability: str
    old: float
    score: float | None
    deficit: float
    new: float
    ratio: float
    why: str


def rebalance(weights: Mapping[str, float], scores: Mapping[str, float], settings: RebalanceSettings) -> list[Change]:
    """New weights, summing to 1, for weights by `class/task` and scores (lower is better, 1 = learnt nothing).

    A pure function: the same numbers in, the same out. Weights of 0 stay 0. Raises ConfigError without weights.
    """
    live = {name: weight for name, weight in weights.items() if weight > 0}
    if not live:
        raise ConfigError("rebalance:weights", f"no capability has a weight: {dict(weights)}")
    old = _normalised(live)
    deficits = {name: _deficit(scores.get(name), scores) for name in old}
    wanted = _normalised({name: weight * math.exp(settings.eta * deficits[name]) for name, weight in old.items()})
    mixed = {name: (1 - settings.uniform) * w + settings.uniform / len(old) for name, w in wanted.items()}
    new = _within_trust(old, mixed, settings)
    return [
        Change(
            name,
            old[name],
            scores.get(name),
            deficits[name],
            new[name],
            new[name] / old[name],
            _why(name, old[name], mixed[name], scores.get(name), deficits[name], settings),
        )
        for name in sorted(old)
    ]


def _deficit(score: float | None, scores: Mapping[str, float]) -> float:
    if score is None or not math.isfinite(score):
        return 0.0
    best = min(value for value in scores.values() if math.isfinite(value))
    return min(1.0, max(0.0, (score - best) / (1 - best))) if best < 1 else 0.0


def _within_trust(
    old: Mapping[str, float], mixed: Mapping[str, float], settings: RebalanceSettings
) -> dict[str, float]:
    """Scale by one factor and clip to each bound, so that the sum is 1 and every bound holds (bisection)."""
    low = {n: max(w / settings.trust, min(settings.floor, w)) for n, w in old.items()}
    high = {n: max(w * settings.trust, low[n]) for n, w in old.items()}
    small, large = 0.0, 1e6
    for _ in range(200):
        factor = (small + large) / 2
        total = sum(min(max(mixed[n] * factor, low[n]), high[n]) for n in old)
        small, large = (factor, large) if total < 1 else (small, factor)
    return _normalised({n: min(max(mixed[n] * large, low[n]), high[n]) for n in old})


def _why(name: str, old: float, wanted: float, score: float | None, deficit: float, settings: RebalanceSettings) -> str:
    if score is None:
        return "not measured (no held-out clip): follows the rest"
    bounds = []
    if wanted > old * settings.trust:
        bounds.append(f"held at {settings.trust:g} x old")
    if wanted < max(old / settings.trust, min(settings.floor, old)):
        bounds.append("held at its floor")
    lag = f"{abs(1 - score):.0%} {'below' if score < 1 else 'above'} the linear predictor; " + (
        "the best: gives way" if deficit == 0 else f"{deficit:.0%} of the best's lead is missing"
    )
    return "; ".join([lag, *bounds])


def _normalised(weights: Mapping[str, float]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def scores_of(report: Mapping[str, Any]) -> dict[str, float]:
    """Scores by `class/task` from an evaluation report: the mean over its media of loss / linear."""
    scores = {}
    for cell in report["cells"]:
        ratios = [cell[medium]["ratio"] for medium in ("video", "audio") if medium in cell]
        scores[f"{cell['class']}/{cell['task']}"] = sum(ratios) / len(ratios)
    return scores


def mixture_file(out: Path, stage: int) -> Path:
    """Where the weights of a stage are written."""
    return out / "report" / f"mixture-{stage}.json"


def write_mixture(out: Path, stage: int, changes: list[Change]) -> Path:
    """Write the weights that stage `stage` will train with, and how they came about."""
    path = mixture_file(out, stage)
    path.parent.mkdir(parents=True, exist_ok=True)
    body = {"weights": {c.capability: c.new for c in changes}, "changes": [asdict(c) for c in changes]}
    replace(path, methodcaller("write", (json.dumps(body, indent=1) + "\n").encode()))
    return path


def read_mixture(out: Path, stage: int) -> dict[str, float] | None:
    """The weights written for a stage, or None."""
    path = mixture_file(out, stage)
    return json.loads(path.read_text())["weights"] if path.is_file() else None
