"""The plots that are not about thresholds: durations and audio classes, stacked by what became of the clips."""

import numpy as np

from pipeline.report import bins
from pipeline.report.facts import Facts
from pipeline.report.figure import FAINT, INK, OUTCOMES, bars, canvas, svg

UNKNOWN = "not measured"


def durations(facts: Facts) -> str:
    """Histogram of clip durations in seconds, by outcome."""
    found = facts.con.execute("SELECT seconds, outcome FROM report WHERE sampled ORDER BY clip_id").fetchnumpy()
    seconds, outcome = np.asarray(found["seconds"], float), np.asarray(found["outcome"], str)
    edges = bins.edges(seconds)
    figure, (axis,) = canvas(480, 230, left=44)
    bottom = np.zeros(len(edges) - 1)
    for name, colour in OUTCOMES.items():
        counts = bins.counted(seconds[outcome == name], edges)
        bottom = bars(axis, edges, counts, bottom, colour)
    axis.set_xlim(edges[0], edges[-1])
    axis.set_ylim(0, max(1.0, bottom.max() * 1.06))
    axis.set_xlabel("seconds")
    axis.set_ylabel("clips")
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.grid(axis="y", color=FAINT, linewidth=0.5, alpha=0.6)
    axis.set_axisbelow(True)
    return svg(figure, "Durations of clips by outcome")


def classes(facts: Facts) -> str:
    """Clips of each audio class, by outcome."""
    counted = facts.rows(
        f"SELECT coalesce(class, '{UNKNOWN}') AS class, outcome, count(*) n FROM report GROUP BY ALL ORDER BY ALL"
    )
    totals: dict[str, int] = {}
    for row in counted:
        totals[row["class"]] = totals.get(row["class"], 0) + row["n"]
    names = sorted(totals, key=lambda name: (name != UNKNOWN, totals[name], name))
    figure, (axis,) = canvas(480, 54 + 34 * len(names), left=104)
    left = np.zeros(len(names))
    for outcome, colour in OUTCOMES.items():
        found = {row["class"]: row["n"] for row in counted if row["outcome"] == outcome}
        widths = np.array([found.get(name, 0) for name in names], float)
        axis.barh([name.replace("_", " ") for name in names], widths, 0.68, left, color=colour)
        left += widths
    for place, name in enumerate(names):
        axis.text(totals[name], place, f"  {totals[name]:,}", va="center", color=INK)
    axis.spines["left"].set_visible(False)
    axis.set_xlabel("clips")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_xlim(0, max(1, *totals.values()) * 1.12)
    return svg(figure, "Audio classes of clips by outcome")
