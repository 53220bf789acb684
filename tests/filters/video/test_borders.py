"""Black bars whose size is known, and pictures that have none."""

import numpy as np
import pytest

from filters.video.borders import STAGE
from media.views import FRAMES, Views


def measure(frames: np.ndarray) -> dict:
    return STAGE()(None, Views({FRAMES: frames}), {})


def picture(height: int = 180, width: int = 320, top: int = 255) -> np.ndarray:
    return np.random.default_rng(0).integers(0, top, (8, height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize("noise", [0, 12])
@pytest.mark.parametrize(
    ("top", "bottom", "left", "right"), [(24, 24, 0, 0), (0, 0, 40, 40), (10, 30, 50, 20), (0, 40, 0, 0)]
)
def test_bars_have_their_size(top: int, bottom: int, left: int, right: int, noise: int) -> None:
    frames = np.random.default_rng(1).integers(0, 17 + noise, (8, 180, 320, 3)).astype(np.uint8)
    frames[:, top : 180 - bottom, left : 320 - right] = picture()[:, top : 180 - bottom, left : 320 - right]
    found = measure(frames)
    known = (top / 180, bottom / 180, left / 320, right / 320)
    assert [found[f"bar_{side}"] for side in ("top", "bottom", "left", "right")] == pytest.approx(known, abs=0.006)
    area = (180 - top - bottom) * (320 - left - right) / (180 * 320)
    assert found["border_ratio"] == pytest.approx(1 - area, abs=0.01)


def test_a_logo_may_stand_in_a_bar() -> None:
    frames = picture()
    frames[:, :30] = 16
    frames[:, 8:20, 10:30] = 230
    assert measure(frames)["bar_top"] == pytest.approx(30 / 180, abs=0.006)


def test_a_picture_without_bars_has_none() -> None:
    assert measure(picture())["border_ratio"] == 0.0


def test_a_night_sky_is_no_bar() -> None:
    frames = np.zeros((8, 180, 320, 3), np.uint8)
    for x in range(320):
        frames[:, 60 + int(50 * abs(np.sin(x / 40))) :, x] = 150  # a skyline
    assert measure(frames)["border_ratio"] == 0.0


def test_darkness_that_comes_slowly_is_no_bar() -> None:
    frames = np.broadcast_to(np.linspace(0, 200, 180)[None, :, None, None] ** 1.0, (8, 180, 320, 3)).copy()
    frames += 6 * np.random.default_rng(2).standard_normal((8, 180, 320, 1))
    frames *= np.linspace(0.3, 1, 320)[None, None, :, None]
    assert measure(np.clip(frames, 0, 255).astype(np.uint8))["border_ratio"] == 0.0


def test_where_nothing_is_seen_nothing_is_measured() -> None:
    assert measure(np.zeros((8, 180, 320, 3), np.uint8)) == {}


def test_a_fade_from_black_is_no_bar() -> None:
    frames = picture()
    frames[:4] = 0
    assert measure(frames)["border_ratio"] == 0.0
