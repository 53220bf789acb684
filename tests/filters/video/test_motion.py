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
    assert row == dict.fromkeys(STAGE.COLUMNS, 0.0) | {"static_ratio": 1.0}


def test_doubled_frames_count_as_half_static() -> None:
    wide = texture()
    frames = np.stack([wide[:, 2 * (i // 2) : 2 * (i // 2) + 256] for i in range(21)])
    assert measure(frames)["static_ratio"] == pytest.approx(0.5)


def test_one_frame_does_not_move() -> None:
    assert measure(texture(256)[None])["static_ratio"] == 1.0


def scene(shifts: np.ndarray, object_step: int) -> np.ndarray:
    """A camera at these places (px) over a textured wall; a textured square of 64 px, 11% of it, moves before it."""
    wide, square = texture(600), texture(64)[:64].max() - texture(600)[:64, 500:564]
    frames = []
    for i, shift in enumerate(shifts):
        frame = wide[:, shift : shift + 256].copy()
        frame[40:104, 20 + i * object_step : 84 + i * object_step] = square
        frames.append(frame)
    return np.stack(frames)


def test_the_camera_and_the_subject_are_told_apart() -> None:
    pan = measure(scene(3 * np.arange(12), 0))  # the square stays in the picture: it moves against the wall
    assert pan["camera_px"] == pytest.approx(3, rel=0.1) and 0.11 < pan["subject_area"] < 0.22
    assert pan["shake_px"] < 0.1
    stays = measure(scene(np.full(12, 100), 5))
    assert stays["camera_px"] < 0.1 and 0.11 < stays["subject_area"] < 0.22
    assert 5 * 0.11 < stays["subject_px"] < 5 * 0.22 and stays["shake_px"] < 0.1
    bare = measure(np.stack([texture(600)[:, 3 * i : 3 * i + 256] for i in range(12)]))
    assert bare["subject_px"] < 0.15 and bare["subject_area"] < 0.02


def test_a_hand_that_shakes() -> None:
    shifts = 100 + np.random.default_rng(3).integers(-2, 3, 24)
    steps = np.diff(shifts)
    truth = np.abs(np.diff(steps[steps != 0])).mean()  # frames shown twice say nothing of the hand
    assert measure(scene(shifts, 0))["shake_px"] == pytest.approx(truth, rel=0.25)


def test_a_zoom_is_the_cameras() -> None:
    import cv2

    wide = texture(600)
    frames = []
    for i in range(10):
        zoom = cv2.getRotationMatrix2D((300, 72), 0.5 * i, 1 + 0.02 * i)
        frames.append(cv2.warpAffine(wide, zoom, (600, 144))[:, 172:428])
    row = measure(np.stack(frames))
    assert row["camera_px"] > 0.8 and row["subject_px"] < 0.2 * row["camera_px"] and row["subject_area"] < 0.05


@pytest.mark.parametrize("height", [1, 2, 5, 8, 10, 16, 24, 31, 33])
@pytest.mark.parametrize("narrow", [False, True])
def test_pictures_too_small_for_the_flow_are_measured(height: int, narrow: bool) -> None:
    wide = texture()
    frames = np.stack([wide[40 : 40 + height, 2 * i : 2 * i + 256] for i in range(8)])
    row = measure(frames.transpose(0, 2, 1) if narrow else frames)
    assert all(np.isfinite(value) for value in row.values()) and row["static_ratio"] == 0.0
    if height >= 8:
        assert row["motion_px"] == pytest.approx(2, rel=0.35)
