"""Motion on pictures that move by a known amount."""

import numpy as np
import pytest

from filters.video.motion import STAGE
from media.views import LUMA_25, Views


def texture(width: int = 400) -> np.ndarray:
    import cv2

    rough = np.random.default_rng(0).integers(0, 255, (144, width), np.uint8)
    return cv2.GaussianBlur(rough, (0, 0), 3)


def measure(frames: np.ndarray) -> dict:
    return STAGE()(None, Views({LUMA_25: frames}), {})


@pytest.mark.parametrize("step", [1, 3])
def test_a_pan_has_its_speed(step: int) -> None:
    wide = texture()
    row = measure(np.stack([wide[:, i * step : i * step + 256] for i in range(12)]))
    assert row["motion_px"] == pytest.approx(step, rel=0.1) and row["static_ratio"] == 0.0
    assert row["motion_peak_px"] >= row["motion_px"]


def test_a_still_with_coding_noise_is_static() -> None:
    still = texture(256)[None].repeat(20, 0).astype(np.int16)
    still[:, ::8, ::8] += np.random.default_rng(0).integers(-2, 3, still[:, ::8, ::8].shape, np.int16)
    row = measure(still.clip(0, 255).astype(np.uint8))
    assert row == {"motion_px": 0.0, "motion_peak_px": 0.0, "static_ratio": 1.0}


def test_doubled_frames_count_as_half_static() -> None:
    wide = texture()
    frames = np.stack([wide[:, 2 * (i // 2) : 2 * (i // 2) + 256] for i in range(21)])
    assert measure(frames)["static_ratio"] == pytest.approx(0.5)


def test_one_frame_does_not_move() -> None:
    assert measure(texture(256)[None])["static_ratio"] == 1.0
