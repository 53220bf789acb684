"""The self-check as a page: a table, and plots of measured against true."""

from collections.abc import Mapping, Sequence
from operator import methodcaller
from typing import Any

import numpy as np

from filters.capability import CLASSES
from manifests.files import AnyPath, replace
from pipeline.report.figure import FAINT, KEPT, REJECTED, canvas, svg
from pipeline.report.page import render
from pipeline.selfcheck.finding import Finding
from pipeline.selfcheck.routing import matrix


def write(path: AnyPath, findings: Sequence[Finding], about: Mapping[str, Any]) -> AnyPath:
    """Write the page. about: seconds, notes (what was not at hand)."""
    plotted = [
        {"title": f.measure, "case": f.case, "svg": _scatter(f)}
        for f in findings
        if len(f.points) > 2 and f.measure != "audio class"
    ]
    routed = [{"case": f.case, "rows": _confusion(f)} for f in findings if f.measure == "audio class" and f.points]
    broken = [text for finding in findings for text in finding.broken()]
    text = render(
        "selfcheck.html.j2",
        findings=findings,
        plots=plotted,
        routed=routed,
        classes=CLASSES,
        broken=broken,
        about=about,
    )
    replace(path, methodcaller("write", text.encode()))
    return path


def _confusion(finding: Finding) -> list[tuple[str, list[int]]]:
    pairs = [(CLASSES[int(truth)], CLASSES[int(found)]) for truth, found in finding.points]
    return list(zip(CLASSES, matrix(pairs).tolist()))


def _scatter(finding: Finding) -> str:
    truth, measured = np.array(finding.points, float).T
    figure, (axis,) = canvas(300, 220, left=52)
    low, high = min(truth.min(), measured.min()), max(truth.max(), measured.max())
    room = 0.06 * (high - low or 1)
    axis.plot([low - room, high + room], [low - room, high + room], color=FAINT, linewidth=1)
    axis.scatter(truth, measured, s=16, color=REJECTED if finding.broken() else KEPT, zorder=3)
    axis.set_xlabel("true")
    axis.set_ylabel("measured")
    return svg(figure, f"{finding.measure}, {finding.case}: measured against true")
