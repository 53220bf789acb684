"""Stills and technical measures on pictures that are known."""

from fractions import Fraction

import numpy as np
import pytest

from filters.video import technical
from filters.video.colours import main_colours
from filters.video.stills import STAGE, colourfulness
from media.clip import Clip
from media.views import FRAMES, Views


def plain(red: int, green: int, blue: int) -> np.ndarray:
    return np.full((120, 160, 3), (red, green, blue), np.uint8)


def measure(*frames: np.ndarray) -> dict:
    return STAGE()(None, Views({FRAMES: np.stack(frames)}), {})


@pytest.mark.parametrize(
    ("rgb", "name"),
    [
        ((200, 20, 20), "red"),
        ((250, 140, 20), "orange"),
        ((240, 230, 30), "yellow"),
        ((30, 160, 60), "green"),
        ((20, 60, 200), "blue"),
        ((120, 40, 180), "purple"),
        ((240, 100, 180), "pink"),
        ((110, 70, 20), "brown"),
        ((10, 10, 12), "black"),
        ((128, 128, 130), "grey"),
        ((250, 250, 250), "white"),
    ],
)
def test_colours_have_their_names(rgb: tuple[int, int, int], name: str) -> None:
    assert main_colours([plain(*rgb)]) == [name]


def test_colours_are_ordered_by_area() -> None:
    frame = plain(20, 60, 200)
    frame[:40] = (200, 20, 20)
    frame[:5] = (250, 250, 250)
    assert main_colours([frame]) == ["blue", "red"]


def test_exposure() -> None:
    dark, bright = measure(plain(5, 5, 5)), measure(plain(250, 250, 250))
    assert (dark["dark_ratio"], dark["bright_ratio"]) == (1.0, 0.0) and dark["luma_mean"] == 5
    assert (bright["dark_ratio"], bright["bright_ratio"]) == (0.0, 1.0) and bright["luma_std"] == 0


def test_blur_lowers_sharpness_and_one_bad_frame_does_not() -> None:
    import cv2

    sharp = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    soft = cv2.GaussianBlur(sharp, (0, 0), 2)
    assert measure(sharp)["sharpness"] > 20 * measure(soft)["sharpness"]
    assert measure(sharp, sharp, soft)["sharpness"] == measure(sharp)["sharpness"]


def test_colourfulness_of_grey_and_of_colour() -> None:
    assert colourfulness(plain(90, 90, 90)) == 0.0
    patches = np.concatenate([plain(255, 0, 0), plain(0, 0, 255), plain(0, 255, 0)], axis=1)
    assert colourfulness(patches) > 100


def test_technical_reads_the_plan() -> None:
    clip = Clip(b"", b"", "x", 0, 60, Fraction(30000, 1001), 640, 360, 44_100, 2)
    row = technical.STAGE()(clip, Views({}), {})
    assert row == {
        "width": 640,
        "height": 360,
        "short_side": 360,
        "pixels": 230_400,
        "fps": pytest.approx(29.97, abs=0.01),
    }
