"""Bins for histograms: shared by all rows of a plot, wide enough to hold its limits too."""

from collections.abc import Sequence

import numpy as np

MOST = 40


def edges(values: np.ndarray, limits: Sequence[float] = (), count: int = MOST) -> np.ndarray:
    """count + 1 edges over the finite float64 values (n,) and the limits, with a margin of a bin.

    Extremes beyond 12 interquartile ranges fall into the outermost bins (clip before counting), so that one wild
    clip does not press all others into one bar.
    """
    finite = values[np.isfinite(values)]
    low, high = _range(finite, limits)
    if limits:
        low, high = min(low, *limits), max(high, *limits)
    if high <= low:
        low, high = low - 0.5 * max(1.0, abs(low)), high + 0.5 * max(1.0, abs(high))
    if finite.size and np.all(finite == np.round(finite)) and high - low <= count:
        return np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.5)
    step = (high - low) / count
    return np.linspace(low - step, high + step, count + 3)


def counted(values: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """How many values (n,) fall into each bin; those outside go to the first or last. Int array (bins,)."""
    inside = np.clip(values[np.isfinite(values)], bins[0], bins[-1])
    return np.histogram(inside, bins)[0]


def whole(bins: np.ndarray) -> bool:
    """Whether each bin stands for one integer."""
    return bool(np.all(np.diff(bins) == 1) and bins[0] % 1 == 0.5)


def _range(finite: np.ndarray, limits: Sequence[float]) -> tuple[float, float]:
    if not finite.size:
        return (min(limits), max(limits)) if limits else (0.0, 1.0)
    low, middle, high = np.quantile(finite, [0.25, 0.5, 0.75])
    reach = 12 * (high - low)
    if reach == 0:
        return float(finite.min()), float(finite.max())
    near = finite[np.abs(finite - middle) <= reach]
    return float(near.min()), float(near.max())
