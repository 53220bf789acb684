"""Drift: how far the distributions of a run have moved from those of a baseline, column by column.

Numbers are compared by their population stability index (PSI) over the baseline's bins, words by the largest change of
a word's share, both also by the change of the share of NULLs. In common use a PSI below 0.1 is no change to speak of
and one above 0.25 a large one (Yurdakul and Naranjo, "Statistical properties of the population stability index",
Journal of Risk Model Validation 14, 2020, who also show what such rules leave out: without any change the PSI of n and
m rows in B bins is about chi-square with B - 1 degrees of freedom, times 1/n + 1/m).

So a threshold is never less than what chance alone reaches once in a thousand columns. Clips of one source resemble
each other: chance is reckoned with the number of sources in place of that of clips, which is on the safe side.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from manifests.expectations.profile import Counts, Profile

CHANCE = 1e-3
"""How often a column that did not change exceeds its threshold, at most."""
SIGMA = 3.29
"""The same for a share: standard deviations of a normal distribution, both sides."""


@dataclass(frozen=True)
class Thresholds:
    """psi: of numbers. share: change of the share of a word, or of NULLs."""

    psi: float = 0.25
    share: float = 0.1


@dataclass(frozen=True)
class Drift:
    """One statistic of one column. statistic: psi | share | nulls. limit: the threshold, or what chance reaches where
    that is more. told: what moved, for people."""

    column: str
    statistic: str
    value: float
    limit: float
    told: str

    @property
    def drifted(self) -> bool:
        """Whether it moved further than it may."""
        return self.value > self.limit


def between(before: Profile, now: Profile, sources: tuple[int, int], thresholds: Thresholds) -> Iterator[Drift]:
    """Every statistic of every column that both profiles have. sources: of the baseline and of now; 0: not known."""
    for name, old in before.columns.items():
        new = now.columns.get(name)
        if new is None or not before.rows or not now.rows:
            continue
        n, m = (_independent(rows, known) for rows, known in zip((before.rows, now.rows), sources))
        yield _nulls(name, old.nulls / before.rows, new.nulls / now.rows, n, m, thresholds)
        valued = (before.rows - old.nulls) / before.rows, (now.rows - new.nulls) / now.rows
        if min(valued) > 0:
            n, m = n * valued[0], m * valued[1]
            yield _psi(name, old, new, n, m, thresholds) if old.edges else _share(name, old, new, n, m, thresholds)


def _independent(rows: int, sources: int) -> float:
    return float(min(rows, sources) if sources else rows)


def psi(before: Mapping[str, int], now: Mapping[str, int]) -> tuple[float, int]:
    """(population stability index, bins that hold anything). Half a row is added to each bin, so that none is empty."""
    bins = [name for name in {**before, **now} if before.get(name, 0) or now.get(name, 0)]
    n, m = (sum(counts.values()) + 0.5 * len(bins) for counts in (before, now))
    total = 0.0
    for name in bins:
        p, q = (before.get(name, 0) + 0.5) / n, (now.get(name, 0) + 0.5) / m
        total += (q - p) * math.log(q / p)
    return total, len(bins)


@cache
def _chi_square(degrees: int) -> float:
    from scipy.stats import chi2

    return float(chi2.isf(CHANCE, degrees))


def _psi(name: str, old: Counts, new: Counts, n: float, m: float, thresholds: Thresholds) -> Drift:
    value, bins = psi(old.counts, new.counts)
    noise = _chi_square(bins - 1) * (1 / n + 1 / m) if bins > 1 else 0.0
    return Drift(name, "psi", value, max(thresholds.psi, noise), _moved(old, new))


def _moved(old: Counts, new: Counts) -> str:
    """The bin whose share changed most, in words."""
    name, before, after = _largest(old.counts, new.counts)
    number, edges = int(name), old.edges
    low = f"above {_plain(edges[number - 1])}" if number else ""
    high = f"up to {_plain(edges[number])}" if number < len(edges) else ""
    return f"{' '.join(filter(None, (low, high)))}: {before:.1%} before, {after:.1%} now"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 1_000 else f"{number:.4g}"


def _share(name: str, old: Counts, new: Counts, n: float, m: float, thresholds: Thresholds) -> Drift:
    word, before, after = _largest(old.counts, new.counts)
    limit = max(thresholds.share, _noise(before, after, n, m))
    return Drift(name, "share", abs(after - before), limit, f"{word}: {before:.1%} before, {after:.1%} now")


def _nulls(name: str, before: float, after: float, n: float, m: float, thresholds: Thresholds) -> Drift:
    limit = max(thresholds.share, _noise(before, after, n, m))
    return Drift(name, "nulls", abs(after - before), limit, f"NULL: {before:.1%} before, {after:.1%} now")


def _largest(old: Mapping[str, int], new: Mapping[str, int]) -> tuple[str, float, float]:
    """(bin or word, its share before, and now) where the share changed most; of equal ones the first."""
    n, m = max(sum(old.values()), 1), max(sum(new.values()), 1)
    shares = [(name, old.get(name, 0) / n, new.get(name, 0) / m) for name in sorted({**old, **new})]
    return max(shares, key=lambda one: abs(one[2] - one[1]))


def _noise(before: float, after: float, n: float, m: float) -> float:
    """By how much two shares of the same kind differ by chance, with the rows of both taken together."""
    pooled = (before * n + after * m) / (n + m)
    return SIGMA * math.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
