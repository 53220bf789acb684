"""Sharpness, exposure and colourfulness of charts whose values follow from how they were drawn, in closed form."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from filters.video.stills import SHORT_SIDE
from media.views import FRAMES, Views
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, errors

SIZE = (640, 360)
Colour = tuple[int, int, int]
Patches = Sequence[tuple[float, Colour]]
"""Shares of the picture (of 20 columns) and their RGB: vertical stripes."""
GREYS: tuple[Patches, ...] = (
    [(1.0, (0, 0, 0))],
    [(1.0, (128, 128, 128))],
    [(1.0, (250, 250, 250))],
    [(0.25, (15, 15, 15)), (0.75, (16, 16, 16))],
    [(0.3, (5, 5, 5)), (0.5, (120, 120, 120)), (0.2, (245, 245, 245))],
    [(0.6, (239, 239, 239)), (0.4, (240, 240, 240))],
    [(0.1, (255, 0, 0)), (0.2, (0, 255, 0)), (0.7, (0, 0, 255))],
)
COLOURS: tuple[Patches, ...] = (
    [(0.5, (40, 40, 40)), (0.5, (200, 200, 200))],
    [(1.0, (200, 30, 30))],
    [(0.5, (90, 120, 150)), (0.5, (110, 120, 130))],
    [(0.25, (200, 30, 30)), (0.75, (30, 60, 200))],
    [(0.2, (250, 220, 40)), (0.3, (20, 160, 90)), (0.5, (128, 128, 128))],
    [(0.5, (255, 0, 0)), (0.5, (0, 255, 255))],
)
PERIODS = (8, 12, 20)
"""Of the waves of the chart, px."""
BLURS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)
"""Standard deviations of Gaussians, px."""
AMPLITUDE = 60.0


def check() -> Iterator[Finding]:
    """A chart of waves, blurred more and more and at two sizes; stripes of grey; stripes of colour."""
    yield _sharpness()
    yield from _exposure()
    yield _colourfulness()


def _stills(frame: np.ndarray) -> dict[str, Any]:
    return through.on("video.stills", Views({FRAMES: frame[None]}))


def _sharpness() -> Finding:
    pairs = [(_true_sharpness(b, n), _stills(_waves(b, n))["sharpness"]) for n in (1, 2) for b in BLURS]
    relative = [(1.0, measured / truth) for truth, measured in pairs]
    steps = np.diff(np.reshape([measured for _, measured in pairs], (-1, len(BLURS))))
    figures = errors(relative, "%", 100) | {"rises": float(np.sum(steps >= 0))}
    floors = {"95% %": (None, 8.0), "rises": (None, 0.0)}
    return Finding("video.stills.sharpness", "waves under a blur, 360 and 720 px", len(pairs), figures, floors, pairs)


def _waves(blur: float, times: int) -> np.ndarray:
    """Waves along both sides in grey, (360, 640, 3) or as many times that, seen through a Gaussian of `blur` px."""
    width, height = (side * times for side in SIZE)
    y, x = np.mgrid[:height, :width] - (times - 1) / 2
    waves = sum(_wave(x, period, blur) + _wave(y, period, blur) for period in PERIODS)
    return np.repeat(np.rint(128 + waves).astype(np.uint8)[..., None], 3, 2)


def _wave(place: np.ndarray, period: int, blur: float) -> np.ndarray:
    return _strength(period, blur) * np.cos(2 * np.pi * place / period)


def _strength(period: float, blur: float) -> float:
    """What a Gaussian leaves of a wave: its Fourier transform."""
    return AMPLITUDE / len(PERIODS) * float(np.exp(-2 * (np.pi * blur / period) ** 2))


def _true_sharpness(blur: float, times: int) -> float:
    """The Laplacian (1, -2, 1 each way) takes 2 cos(w) - 2 times a wave of w radians a pixel, and a wave's variance is
    half its amplitude squared; rounding adds 1/12 a pixel, 20 of them in the squared weights of the Laplacian. Mirrored
    edges, which are not counted here, add up to 5 %.

    A larger picture is shrunk to a short side of 360 first: means over squares of that many pixels, which leave the
    Dirichlet kernel's share of a wave, and shorten it.
    """
    shrunk = max(1, SIZE[1] * times // SHORT_SIDE)
    found = 20 / 12
    for period in PERIODS:
        w = np.pi / period
        kept = np.sin(shrunk * w) / (shrunk * np.sin(w))
        found += (_strength(period, blur) * kept * (2 * np.cos(2 * shrunk * w) - 2)) ** 2
    return float(found)


def _exposure() -> Iterator[Finding]:
    """Stripes of known grey (and of pure red, green and blue), on both sides of the limits of dark and bright."""
    rows = [_stills(_stripes(patches)) for patches in GREYS]
    for column, (unit, most) in {
        "luma_mean": ("levels", 0.6),
        "luma_std": ("levels", 0.6),
        "dark_ratio": ("of the picture", 0.01),
        "bright_ratio": ("of the picture", 0.01),
    }.items():
        pairs = [(_true_exposure(patches)[column], row[column]) for patches, row in zip(GREYS, rows)]
        floors = {f"95% {unit}": (None, most)}
        yield Finding(f"video.stills.{column}", "stripes of grey", len(pairs), errors(pairs, unit), floors, pairs)


def _stripes(patches: Patches) -> np.ndarray:
    """(360, 640, 3): stripes from left to right."""
    columns = [np.tile(np.array(colour, np.uint8), (round(share * SIZE[0]), 1)) for share, colour in patches]
    return np.repeat(np.concatenate(columns)[None], SIZE[1], 0)


def _true_exposure(patches: Patches) -> dict[str, float]:
    """By the weights of luma in ITU-R BT.601, and the limits that the stage names: below 16, above 239."""
    lumas = [(share, 0.299 * red + 0.587 * green + 0.114 * blue) for share, (red, green, blue) in patches]
    mean = sum(share * luma for share, luma in lumas)
    return {
        "luma_mean": mean,
        "luma_std": sum(share * (luma - mean) ** 2 for share, luma in lumas) ** 0.5,
        "dark_ratio": sum(share for share, luma in lumas if luma < 15.5),
        "bright_ratio": sum(share for share, luma in lumas if luma > 239.5),
    }


def _colourfulness() -> Finding:
    pairs = [(_true_colourfulness(p), _stills(_stripes(p))["colourfulness"]) for p in COLOURS]
    figures, floors = errors(pairs, "of its scale"), {"95% of its scale": (None, 0.1)}
    return Finding("video.stills.colourfulness", "stripes of colour", len(pairs), figures, floors, pairs)


def _true_colourfulness(patches: Patches) -> float:
    """Hasler and Suesstrunk's M3 by sums over stripes: roots of the summed variances, and of the summed squares of the
    means times 0.3, of red - green and of (red + green) / 2 - blue."""
    axes = [[(w, float(r - g)) for w, (r, g, b) in patches], [(w, (r + g) / 2 - b) for w, (r, g, b) in patches]]
    means = [sum(w * value for w, value in axis) for axis in axes]
    spread = sum(w * (value - mean) ** 2 for axis, mean in zip(axes, means) for w, value in axis)
    return float(spread**0.5 + 0.3 * sum(mean**2 for mean in means) ** 0.5)
