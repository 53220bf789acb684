"""Plots as inline SVG: drawn by matplotlib, coloured by the page's CSS, the same bytes for the same numbers."""

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, KEPT, REJECTED, BAD, PENDING, LIMIT, SHADE = (f"#01020{i}" for i in range(8))
"""Stand-ins for the CSS variables below: no plot has these colours, so they can be found in the SVG."""
_VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    KEPT: "--kept",
    REJECTED: "--rejected",
    BAD: "--bad",
    PENDING: "--pending",
    LIMIT: "--limit",
    SHADE: "--shade",
}
OUTCOMES = {"kept": KEPT, "rejected": REJECTED, "quarantined": BAD, "pending": PENDING}
"""Colour of each outcome of a clip, in the order in which they are stacked."""
_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: it takes the page's font and can be searched
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "patch.linewidth": 0,
}


def canvas(
    width: float,
    height: float,
    rows: int = 1,
    *,
    left: float = 8,
    bottom: float = 38,
    top: float = 8,
    gap: float = 0.85,
) -> "tuple[Figure, list]":
    """A transparent figure of width x height CSS pixels with `rows` axes one above the other, sharing x.

    left, bottom, top: margins in pixels; fixed ones, because finding them out means drawing every plot twice.
    gap: between the axes, in heights of one.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width / 72, height / 72))
        axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0].tolist()
    figure.subplots_adjust(left / width, bottom / height, 1 - 14 / width, 1 - top / height, hspace=gap)
    return figure, axes


def bars(axis: "Axes", edges: np.ndarray, counts: np.ndarray, bottom: np.ndarray, colour: str) -> np.ndarray:
    """Draw a histogram on top of `bottom` as one path, however many bars; the new tops. All arrays (bins,).

    edges: (bins + 1,). Empty bars are left out.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    gap = 0.06 * np.diff(edges)
    boxes = [
        [(lo, b), (lo, b + n), (hi, b + n), (hi, b), (lo, b)]
        for lo, hi, b, n in zip(edges[:-1] + gap, edges[1:] - gap, bottom, counts)
        if n
    ]
    if boxes:
        codes = [Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY] * len(boxes)
        axis.add_patch(PathPatch(Path(np.concatenate(boxes), codes), facecolor=colour, linewidth=0))
    return bottom + counts


def svg(figure: "Figure", label: str) -> str:
    """The figure as an <svg> element, `label` for those who cannot see it and as the salt of its inner ids."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    FigureCanvasSVG(figure)
    file = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": label}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*", "font-family: var(--sans)", text)
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    return _sized(text, label)


def _sized(text: str, label: str) -> str:
    """Sizes in CSS pixels, shrinking with the column; an accessible name."""
    width, height = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', text).groups()  # type: ignore[union-attr]
    name = label.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    head = f'<svg class="plot" role="img" aria-label="{name}" style="width:{float(width):g}px" '
    head += f'viewBox="0 0 {float(width):g} {float(height):g}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return re.sub(r"^<svg[^>]*>", lambda _: head, text, count=1)
