"""Every measure's distribution, against the thresholds that the policy puts on it."""

from typing import Any

import numpy as np

from filters.capability import CLASSES, quote
from pipeline.report import bins
from pipeline.report.facts import Facts
from pipeline.report.figure import FAINT, INK, KEPT, LIMIT, PENDING, REJECTED, SHADE, bars, canvas, svg
from pipeline.report.limits import Limit, scope, words

UNITS = {
    "compression_ratio": "",
    "_ratio": "share",
    "_hz": "Hz",
    "_db": "dB",
    "_px": "px",
    "_s": "s",
    "lufs": "LUFS",
    "fps": "frames/s",
    "width": "px",
    "height": "px",
    "short_side": "px",
}


def panels(facts: Facts, limits: dict[str, list[Limit]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Panels of the measures with thresholds (an SVG with a row a class), and of the others (an SVG of one row)."""
    names = facts.numbers()
    if names:
        columns = ", ".join(quote(name) for name in names)
        chosen = f"SELECT coalesce(class, '') AS class, {columns} FROM report WHERE sampled"
        facts.con.execute(f"CREATE OR REPLACE TEMP TABLE plotted AS {chosen}")
    gated = [_gated(facts, name, limits[name]) for name in names if name in limits]
    free = [_free(facts, name) for name in names if name not in limits]
    return [panel for panel in gated if panel], [panel for panel in free if panel]


def unmeasured(facts: Facts, limits: dict[str, list[Limit]]) -> list[str]:
    """Measures that the policy reads and no clip has."""
    have = set(facts.numbers())
    return [name for name in limits if name not in have or not facts.one(f"SELECT count({quote(name)}) FROM plotted")]


def _read(facts: Facts, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Float64 values (n,) and final classes (n,) of the clips that have the measure."""
    found = facts.con.execute(
        f"SELECT CAST({quote(name)} AS DOUBLE) AS value, class FROM plotted"
        f" WHERE isfinite(CAST({quote(name)} AS DOUBLE))"
    ).fetchnumpy()
    return np.asarray(found["value"], float), np.asarray(found["class"], str)


def _gated(facts: Facts, name: str, limits: list[Limit]) -> dict[str, Any] | None:
    values, classes = _read(facts, name)
    if not values.size:
        return None
    present = [c for c in CLASSES if np.any(classes == c)]
    edges = bins.edges(values, [bound for limit in limits for bound in limit.bounds])
    figure, axes = canvas(468, 58 + 52 * max(1, len(present)), max(1, len(present)), top=20)
    for axis, label in zip(axes, present or [""]):
        mine = values[classes == label] if label else values
        _row(axis, label, mine, edges, [limit for limit in limits if not label or label in limit.classes])
    axes[-1].set_xlabel(_unit(name))
    notes = [f"{limit.gate}: {words(limit)} ({scope(limit.classes)})" for limit in limits]
    return {"name": name, "svg": svg(figure, f"{name} by audio class"), "notes": notes, **_summary(values)}


def _row(axis: Any, label: str, values: np.ndarray, edges: np.ndarray, limits: list[Limit]) -> None:
    """One class: bars (red where its limits fail, grey without limits); a line a threshold, its failing side shaded."""
    failed = np.zeros(len(values), bool)
    for limit in limits:
        low = -np.inf if limit.minimum is None else limit.minimum
        high = np.inf if limit.maximum is None else limit.maximum
        failed |= (values < low) | (values > high)
        if limit.minimum is not None:
            axis.axvspan(edges[0], low, color=SHADE)
        if limit.maximum is not None:
            axis.axvspan(high, edges[-1], color=SHADE)
        for bound in limit.bounds:
            axis.axvline(bound, color=LIMIT, linewidth=1.4)
    passing, failing = bins.counted(values[~failed], edges), bins.counted(values[failed], edges)
    tops = bars(axis, edges, passing, np.zeros(len(passing)), KEPT if limits else PENDING)
    tops = bars(axis, edges, failing, tops, REJECTED)
    axis.set_ylim(0, max(1.0, tops.max()) * 1.08)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    text = f"{label.replace('_', ' ')}: {len(values):,}" if label else f"{len(values):,} clips"
    axis.set_title(text, loc="left", fontsize=10.5, pad=5, color=INK)


def _free(facts: Facts, name: str) -> dict[str, Any] | None:
    values, _ = _read(facts, name)
    if not values.size:
        return None
    figure, (axis,) = canvas(210, 96, left=18, bottom=34)
    edges = bins.edges(values, count=28)
    tops = bars(axis, edges, bins.counted(values, edges), np.zeros(len(edges) - 1), KEPT)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, tops.max())
    axis.set_yticks([])
    axis.spines["left"].set_visible(False)
    axis.xaxis.get_major_locator().set_params(nbins=4, integer=bins.whole(edges))
    axis.tick_params(axis="x", colors=INK, color=FAINT)
    axis.set_xlabel(_unit(name))
    return {"name": name, "svg": svg(figure, name), **_summary(values)}


def _summary(values: np.ndarray) -> dict[str, Any]:
    low, middle, high = (float(q) for q in np.quantile(values, [0.05, 0.5, 0.95]))
    return {"clips": len(values), "p5": low, "median": middle, "p95": high}


def _unit(name: str) -> str:
    """The unit that the column's name ends with; "" for a number without one."""
    column = name.rpartition(".")[2]
    return next((unit for ending, unit in UNITS.items() if column.endswith(ending)), "")
