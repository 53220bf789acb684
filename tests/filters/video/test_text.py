"""Text that was drawn is found, read, and measured; what is no text is not."""

import cv2
import numpy as np
import pytest

from filters.video.text import STAGE, TEXT_FRAMES, covered, once
from media.views import Views


def frames(*lines: tuple[str, int, int], count: int = 4) -> np.ndarray:
    ramp = np.linspace(40, 120, 640).astype(np.uint8)
    picture = np.repeat(np.repeat(ramp[None, :, None], 360, 0), 3, 2).copy()
    for text, x, y in lines:
        cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (250, 250, 250), 2, cv2.LINE_AA)
    return np.repeat(picture[None], count, 0)


def measure(array: np.ndarray) -> dict:
    return STAGE()(None, Views({TEXT_FRAMES: array}), {})


def test_a_subtitle_is_read_where_it_stands() -> None:
    found = measure(frames(("Where are you going", 140, 320)))
    assert found["text_ratio"] == 1.0
    (line,) = found["text_lines"]
    assert line["text"].replace(" ", "").lower() == "whereareyougoing"
    assert line["y"] > 0.75 and line["x"] == pytest.approx(140 / 640, abs=0.03)
    assert 0.02 < found["text_area"] < 0.12


def test_text_in_half_of_the_frames() -> None:
    both = np.concatenate([frames(("NEWS AT TEN", 60, 80), count=2), frames(count=2)])
    assert measure(both)["text_ratio"] == 0.5


@pytest.mark.parametrize("drawn", [(), (("A", 300, 200),)])
def test_nothing_and_one_letter_are_no_text(drawn: tuple) -> None:
    assert measure(frames(*drawn)) == {"text_area": 0.0, "text_ratio": 0.0, "text_lines": []}


def test_places_are_counted_once_and_texts_too() -> None:
    row = {"text": "Hello", "confidence": 0.7, "x": 0.0, "y": 0.0, "w": 0.5, "h": 0.5}
    better = {**row, "text": "hello", "confidence": 0.9}
    assert covered([row, better]) == 0.25
    assert once([row, better]) == [better]
