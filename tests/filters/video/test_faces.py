"""Faces: found, followed, counted and measured on real talking heads, drawn ones, and on things that are none."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from filters.video import face_detector, face_series
from filters.video.face_tracks import follow
from filters.video.faces import STAGE
from media.render import render_views
from media.synth import sounds
from media.synth.faces import Head, opening, talking
from media.synth.picture import backdrop
from media.views import FACES_25, Views
from media.whole import whole_clip

HEAD = Head(skin=(224, 178, 146), hair=(70, 45, 30), shirt=(60, 90, 150))


def measure(frames: np.ndarray) -> dict[str, Any]:
    return STAGE()(None, Views({FACES_25: frames}), {})


def seen(path: Path, frames: int | None = None) -> np.ndarray:
    clip = whole_clip(path)
    with render_views(replace(clip, frames=min(clip.frames, frames or clip.frames)), [FACES_25]) as views:
        return np.array(views[FACES_25])


def bursts(seconds: float, seed: int = 0) -> np.ndarray:
    """A voice for drawn heads: syllables of noise of uneven length and loudness."""
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0, 1, round(seconds * 5)), sounds.RATE // 5)
    return (level * rng.normal(0, 0.1, len(level))).astype(np.float32)


def placed(frames: np.ndarray, width: int, left: int, top: int) -> np.ndarray:
    """The frames scaled to `width` on a grey canvas of 640 x 360."""
    import cv2

    height = round(frames.shape[1] * width / frames.shape[2])
    canvas = np.full((len(frames), 360, 640, 3), 90, np.uint8)
    for frame, small in zip(canvas, frames):
        frame[top : top + height, left : left + width] = cv2.resize(small, (width, height), interpolation=3)
    return canvas


def test_a_talking_head_is_one_face_on_every_frame(media_dir: Path) -> None:
    row = measure(seen(media_dir / "grid/bbaf2n.mpg", 30))
    assert (row["faces"], row["face_ratio"]) == (1, 1.0)
    (track,) = row["tracks"]
    assert (track["track"], track["start_s"], track["end_s"]) == ("F1", 0.0, 1.2)
    # read off the first frame by eye: ears at 122 and 262 of 450, brow to chin 140 to 315 of 360
    assert (track["x"], track["y"]) == pytest.approx((0.27, 0.39), abs=0.03)
    assert (track["width"], track["height"]) == pytest.approx((0.31, 0.48), abs=0.03)
    assert row["face_area"] == pytest.approx(0.147, abs=0.02)
    assert len(track["lip_opening"]) == 30 and len(track["places"]) == 6 * 4


@pytest.mark.parametrize("name", ["video/big_buck_bunny_small.mp4", "video/nasa_13013.mp4", "video/transparent.webm"])
def test_rabbits_machines_and_backs_of_heads_are_no_faces(media_dir: Path, name: str) -> None:
    row = measure(seen(media_dir / name, 130))
    assert (row["faces"], row["face_area"], row["face_ratio"], row["tracks"]) == (0, 0.0, 0.0, [])


def test_a_small_face_in_a_wide_shot_is_found_and_smaller_ones_are_not_claimed(media_dir: Path) -> None:
    frames = seen(media_dir / "grid/brbk7n.mpg", 20)
    row = measure(placed(frames, 88, 400, 60))  # the face is 28 px wide: 4 % of the picture
    assert row["faces"] == 1 and row["face_ratio"] == 1.0
    track = row["tracks"][0]
    assert track["width_px"] == pytest.approx(28, abs=3) and track["lip_opening"] is None is track["lip_activity"]
    assert measure(placed(frames, 36, 400, 60))["faces"] == 0


def test_two_faces_are_two_tracks_whose_lips_are_their_own() -> None:
    back = backdrop(1, (60, 60, 80), (70, 60, 60))
    voices = [bursts(3.2, 1), bursts(3.2, 2)]
    heads = [replace(HEAD, x=0.27, size=0.85), replace(HEAD, x=0.73, size=0.85, skin=(180, 130, 100))]
    frames = np.repeat(np.repeat(talking(back, heads, voices, 25, sum(voices)).frames, 2, 1), 2, 2)
    row = measure(frames)
    assert row["faces"] == 2 and len(row["tracks"]) == 2
    for track in row["tracks"]:
        number = 0 if track["x"] < 0.4 else 1
        lips = face_series.lips_of(track, len(frames))
        mine, other = (np.corrcoef(lips, opening(voices[i], len(frames), 25))[0, 1] for i in (number, 1 - number))
        assert mine > 0.85 and mine > other + 0.4, (mine, other)


def test_a_face_that_goes_and_comes_back_is_one_track_with_a_gap(media_dir: Path) -> None:
    frames = seen(media_dir / "grid/lrwp9a.mpg", 60)
    frames[23:36] = 90
    row = measure(frames)
    (track,) = row["tracks"]
    lips = face_series.lips_of(track, len(frames))
    assert np.flatnonzero(np.isnan(lips)).tolist() == list(range(23, 36))
    assert (track["start_s"], track["end_s"]) == (0.0, 2.4) and row["face_ratio"] == pytest.approx(47 / 60)


def test_a_face_that_appears_between_two_looks_is_followed_back_to_its_first_frame(media_dir: Path) -> None:
    frames = seen(media_dir / "grid/lrwp9a.mpg", 40)
    frames[:14], frames[33:] = 90, 90
    (track,) = measure(frames)["tracks"]
    assert (track["start_s"], track["end_s"]) == pytest.approx((14 / 25, 33 / 25))


def test_a_moving_face_stays_one_track(media_dir: Path) -> None:
    still = seen(media_dir / "grid/lrwp9a.mpg", 30)
    frames = np.stack([placed(still[i : i + 1], 225, 10 + 12 * i, 80)[0] for i in range(30)])
    (track,) = measure(frames)["tracks"]
    boxes = face_series.boxes_of(track)
    assert len(boxes) == 30
    assert (boxes[22, 0] - boxes[7, 0]) * 640 == pytest.approx(12 * 15, abs=8)


def test_boxes_of_one_face_are_averaged_by_score_and_those_of_others_kept() -> None:
    found = np.array([[0, 0, 10, 10, 5], [0, 0, 12, 10, 8], [50, 50, 60, 60, 1]], np.float64)
    (one, best), (other, second) = face_detector.averaged(found, np.array([0.9, 0.6, 0.7]))
    assert one == pytest.approx([0, 0, 10.8, 10, 6.2]) and best == 0.9
    assert other == pytest.approx(found[2]) and second == 0.7


def test_a_frame_lies_in_the_middle_of_the_square() -> None:
    square, scale, corner = face_detector.letterbox(np.full((90, 384, 3), 255, np.uint8))
    assert (scale, corner.tolist()) == (0.5, [0, 73])
    assert square[72].max() == -1 and square[73].min() == 1 and square[117].min() == 1 and square[118].max() == -1


def test_an_empty_clip_has_no_faces() -> None:
    assert measure(np.zeros((0, 90, 160, 3), np.uint8))["faces"] == 0
    assert follow(np.zeros((1, 90, 160, 3), np.uint8)) == []
