"""What the self-check found of one measure in one case."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

Floor = tuple[float | None, float | None]
"""Least and most that is still in order."""


@dataclass(frozen=True)
class Finding:
    """measure: `<stage>.<column>`. case: on what. count: how many were measured. figures: name (with its unit) ->
    value, None where nothing was answered. floors: of figures, what must hold. points: (truth, measured), to plot."""

    measure: str
    case: str
    count: int
    figures: Mapping[str, float | None]
    floors: Mapping[str, Floor] = field(default_factory=dict)
    points: Sequence[tuple[float, float]] = ()

    def broken(self) -> list[str]:
        """The floors that do not hold, in words."""
        told = []
        for name, (low, high) in self.floors.items():
            value = self.figures[name]
            wrong = value is None or (low is not None and value < low) or (high is not None and value > high)
            if wrong:
                bounds = f"at least {low:g}" if low is not None else f"at most {high:g}"
                found = "nothing" if value is None else f"{value:.3g}"
                told.append(f"{self.measure}, {self.case}: {name} is {found}, must be {bounds}")
        return told

    def row(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "broken": self.broken()}


def errors(pairs: Sequence[tuple[float, float]], unit: str, scale: float = 1.0) -> dict[str, float | None]:
    """Median and 95th percentile of the absolute error, and the mean error. pairs: (truth, measured)."""
    if not pairs:
        return {f"median {unit}": None, f"95% {unit}": None, f"bias {unit}": None}
    wrong = scale * np.array([measured - truth for truth, measured in pairs])
    return {
        f"median {unit}": float(np.median(np.abs(wrong))),
        f"95% {unit}": float(np.percentile(np.abs(wrong), 95)),
        f"bias {unit}": float(wrong.mean()),
    }


def detection(truths: Sequence[bool], found: Sequence[bool]) -> dict[str, float | None]:
    """Precision and recall; None where nothing was found, or there was nothing to find."""
    hits = sum(t and f for t, f in zip(truths, found))
    return {
        "precision": hits / sum(found) if sum(found) else None,
        "recall": hits / sum(truths) if sum(truths) else None,
    }
