"""Cuts and slides whose places are known."""

import numpy as np
import pytest

from filters.video.edits import STAGE, cuts
from media.synth import edits
from media.views import LUMA_25, Views


def photo(seed: int) -> np.ndarray:
    import cv2

    noise = np.random.default_rng(seed).integers(0, 255, (18, 32)).astype(np.uint8)
    return np.asarray(cv2.resize(noise, (256, 144), interpolation=cv2.INTER_CUBIC))


def pan(seed: int, frames: int, speed: float = 1.0) -> np.ndarray:
    import cv2

    wide = cv2.resize(np.random.default_rng(seed).integers(0, 255, (18, 128)).astype(np.uint8), (1024, 144))
    return np.stack([wide[:, round(speed * i) : round(speed * i) + 256] for i in range(frames)])


def measure(*shots: np.ndarray) -> dict:
    return STAGE()(None, Views({LUMA_25: np.concatenate(shots)}), {})


def noisy(frames: np.ndarray) -> np.ndarray:
    return np.clip(frames + np.random.default_rng(9).normal(0, 2.0, frames.shape), 0, 255).astype(np.uint8)


def test_cuts_have_their_places() -> None:
    assert cuts(noisy(np.concatenate([pan(1, 40), pan(2, 25), pan(3, 35)]))) == [40, 65]
    assert measure(pan(1, 40), pan(2, 25), pan(3, 35))["cuts_per_s"] == pytest.approx(2 * 25 / 100)


@pytest.mark.parametrize("speed", [0.5, 3.0, 10.0])
def test_a_pan_is_no_cut(speed: float) -> None:
    assert measure(pan(4, 60, speed))["cuts"] == 0


@pytest.mark.parametrize("length", [1, 3, 5])
def test_a_flash_is_no_cut(length: int) -> None:
    frames = pan(5, 60, 0.5)
    frames[30 : 30 + length] = 250
    assert measure(frames)["cuts"] == 0


def test_twelve_pictures_a_second_are_no_slides() -> None:
    found = measure(np.repeat(pan(6, 40, 3.0), 2, 0))
    assert found["cuts"] == 0 and found["slides"] == 0 and found["frozen_s"] == pytest.approx(2 / 25)


def test_slides_are_counted() -> None:
    found = measure(*(np.repeat(photo(seed)[None], 30, 0) for seed in range(3)), pan(7, 10))
    assert found["slides"] == 3 and found["slideshow_ratio"] == pytest.approx(0.9) and found["frozen_s"] == 1.2


def test_one_picture_that_stands_is_frozen_and_no_slideshow() -> None:
    found = measure(np.repeat(photo(0)[None], 50, 0))
    assert (found["slides"], found["slideshow_ratio"], found["frozen_s"]) == (0, 0.0, 2.0)


def test_a_mouth_that_moves_before_a_wall_is_no_slide() -> None:
    frames = np.repeat(photo(1)[None], 60, 0).copy()
    for i, frame in enumerate(frames):
        frame[80:88, 120:136] = 40 + 40 * (i % 4)
    assert measure(frames)["frozen_s"] == 0.0


def test_the_flash_of_the_known_films_is_no_cut() -> None:
    assert measure(edits.flashed(pan(8, 30, 0.5), 10))["cuts"] == 0


def test_things_that_jump_before_a_still_picture_are_no_cut() -> None:
    """Bars of an equaliser, a subtitle, a picture in the picture."""
    frames = np.repeat(photo(2)[None], 50, 0).copy()
    frames[25:, 50:, ::2] = 255 - frames[25:, 50:, ::2]
    frames[25:, :50] = frames[0, :50]
    frames[25:, :, :100] = frames[0, :, :100]
    assert measure(noisy(frames))["cuts"] == 0
