"""Marks of known place over a picture that moves, and what only looks like one."""

import numpy as np
import pytest

from filters.video.watermark import MARK_FRAMES, STAGE, without_lines
from media.views import Views
from pipeline.selfcheck.marks import CORNERS, marked, overlap, scene


def measure(frames: np.ndarray) -> dict:
    return STAGE()(None, Views({MARK_FRAMES: frames}), {})


@pytest.mark.parametrize(("kind", "width", "alpha"), [("logo", 0.05, 0.4), ("logo", 0.1, 1.0), ("text", 0.2, 0.4)])
@pytest.mark.parametrize("corner", [0, 4])
def test_a_mark_is_found_where_it_is(kind: str, width: float, alpha: float, corner: int) -> None:
    frames, truth = marked(scene(corner), kind, width, alpha, CORNERS[corner])
    found = measure(frames)
    assert found["judged"] == "measured" and len(found["watermarks"]) == 1
    (row,) = found["watermarks"]
    assert overlap(row, truth) > 0.5 and row["contrast"] > 10
    assert found["watermark_area"] == row["w"] * row["h"]


def test_the_larger_of_two_comes_first() -> None:
    frames, small = marked(scene(1), "logo", 0.05, 1.0, CORNERS[0])
    frames, large = marked(frames, "logo", 0.1, 1.0, CORNERS[3])
    first, second = measure(frames)["watermarks"]
    assert overlap(first, large) > 0.5 and overlap(second, small) > 0.5


def test_a_moving_picture_without_marks_has_none() -> None:
    assert measure(scene(2)) == {"judged": "measured", "watermark_area": 0.0, "watermarks": []}


def test_what_stands_half_of_the_time_is_no_mark() -> None:
    frames = marked(scene(0), "logo", 0.1, 1.0, CORNERS[1])[0]
    frames[16:] = scene(0)[16:]
    assert measure(frames)["watermarks"] == []


def test_bars_are_no_marks() -> None:
    frames = scene(3).copy()
    frames[:, :40], frames[:, :, -60:] = 16, 16
    assert measure(frames)["watermarks"] == []
    with_logo, truth = marked(frames, "logo", 0.08, 1.0, (0.2, 0.3))
    (row,) = measure(with_logo)["watermarks"]
    assert overlap(row, truth) > 0.5


def test_of_a_still_picture_nothing_is_said() -> None:
    frames = np.repeat(marked(scene(1), "logo", 0.1, 1.0, CORNERS[0])[0][:1], 32, 0)
    assert measure(frames) == {"judged": "still"}
    half = scene(1).copy()
    half[:, 180:] = half[0, 180:]  # as behind someone who talks before a bookshelf
    assert measure(half) == {"judged": "still"}
    assert measure(np.full((32, 90, 160), 30, np.uint8)) == {"judged": "still"}


def test_a_few_frames_are_too_short() -> None:
    assert measure(scene(0)[:7]) == {"judged": "too short"}


def test_only_a_few_whole_lines_are_taken_out() -> None:
    standing = np.zeros((100, 200), bool)
    standing[:, 50] = standing[20:30, 100:110] = True
    kept = without_lines(standing)
    assert not kept[:, 50].any() and kept[20:30, 100:110].all()
    assert without_lines(np.ones((100, 200), bool)).all()
