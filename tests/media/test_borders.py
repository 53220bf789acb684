"""Borders: cropped where they stay and end in an edge, never where a scene is merely dark."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from media import ffmpeg
from media.borders import BorderWatch
from media.clip import clip_from_probe
from media.encode import EncodeRecipe, encode_clip
from media.probe import probe
from media.render import render_views
from media.shots import detect_shots
from media.shown import Shown, settle
from media.synth.picture import backdrop
from media.views import VideoView
from media.writer import write_mp4

DAY, DUSK = ((200, 180, 150), (90, 120, 60)), ((40, 60, 120), (160, 190, 220))


def _picture(seed: int, colours: tuple, frames: int = 60, light: float = 1.0) -> np.ndarray:  # type: ignore[type-arg]
    """A swaying backdrop, uint8 (frames, 200, 320, 3); light: 1 for day, less for night."""
    scene = backdrop(seed, *colours)
    return (np.stack([scene.at(i / 25) for i in range(frames)]) * light).astype(np.uint8)


def _inside(picture: np.ndarray, top: int, bottom: int, left: int = 0, right: int = 0) -> np.ndarray:
    return np.pad(picture, ((0, 0), (top, bottom), (left, right), (0, 0)))


def _shown(path: Path, frames: np.ndarray) -> list[Shown]:
    write_mp4(path, frames, 25, np.zeros(len(frames) * 1764, np.float32), crf=23)
    found, watch = probe(path), BorderWatch()
    shots = detect_shots(path, found, see=watch.see)
    return settle(path, found, shots.ranges, watch)


def _crops(path: Path, frames: np.ndarray) -> list[tuple[int, int, int, int] | None]:
    return [shown.look.crop for shown in _shown(path, frames)]


@pytest.mark.parametrize(
    ("name", "sides", "expected"),
    [
        ("letterbox", (44, 44, 0, 0), (320, 200, 0, 44)),
        ("one-sided", (30, 0, 0, 0), (320, 200, 0, 30)),
        ("pillarbox", (0, 0, 52, 52), (320, 200, 52, 0)),
        ("odd", (0, 0, 41, 27), (318, 200, 42, 0)),
        ("windowbox", (36, 36, 48, 48), (320, 200, 48, 36)),
        ("hairline", (2, 2, 0, 0), None),
        ("none", (0, 0, 0, 0), None),
    ],
)
def test_borders_are_cropped(tmp_path: Path, name: str, sides: tuple[int, int, int, int], expected) -> None:  # type: ignore[no-untyped-def]
    assert _crops(tmp_path / f"{name}.mp4", _inside(_picture(1, DAY), *sides)) == [expected]


def test_a_dark_film_is_cropped_all_the_same(tmp_path: Path) -> None:
    night = np.concatenate([_picture(seed, DAY, light=0.22) for seed in (1, 2)])
    assert night.max() < 60
    assert set(_crops(tmp_path / "night.mp4", _inside(night, 40, 40))) == {(320, 200, 0, 40)}


def test_a_dark_scene_is_no_border(tmp_path: Path) -> None:
    """A lamp in the night: most rows and columns stay black, but nothing ends in an edge."""
    rows, columns = np.mgrid[0:200, 0:320]
    glow = 220 * np.exp(-((rows - 110) ** 2 + (columns - 170) ** 2) / 1800)
    hills = np.where(rows > 150 + 14 * np.sin(columns / 37), 70, 0)
    for name, scene in (("lamp", glow), ("hills", hills), ("both", np.maximum(glow, hills))):
        still = np.repeat(scene.astype(np.uint8)[None, ..., None], 60, 0).repeat(3, 3)
        assert _crops(tmp_path / f"{name}.mp4", still) == [None], name


def test_fading_from_black_hides_nothing(tmp_path: Path) -> None:
    frames = _inside(_picture(1, DAY, 80), 44, 44)
    fade = np.clip((np.arange(80) - 20) / 30, 0, 1)[:, None, None, None]
    assert _crops(tmp_path / "fade.mp4", (frames * fade).astype(np.uint8))[-1] == (320, 200, 0, 44)


def test_captions_in_the_border_stay(tmp_path: Path) -> None:
    frames = _inside(_picture(1, DAY, 100), 44, 44)
    frames[40:90, 252:264, 100:220] = 230
    (crop,) = _crops(tmp_path / "captions.mp4", frames)
    assert crop is not None and crop[3] == 44 and crop[3] + crop[1] >= 264


def test_borders_in_a_part_of_the_source(tmp_path: Path) -> None:
    frames = np.concatenate([_inside(_picture(1, DAY), 50, 50), _tall(2), _inside(_picture(3, DUSK), 50, 50)])
    assert _crops(tmp_path / "mixed.mp4", frames) == [(320, 200, 0, 50), None, (320, 200, 0, 50)]


def _tall(seed: int) -> np.ndarray:
    """A picture of 300 rows."""
    picture = _picture(seed, DUSK)
    return np.concatenate([picture, picture[:, 100:]], axis=1)


def test_views_and_samples_show_the_cropped_picture(tmp_path: Path) -> None:
    path = tmp_path / "box.mp4"
    (shown,) = _shown(path, _inside(_picture(1, DAY), 36, 36, 48, 48))
    assert (shown.width, shown.height) == (320, 200)
    found = probe(path)
    clip = clip_from_probe(path, found, 0, 30, clip_id=bytes(16), source_id=bytes(16))
    clip = replace(clip, look=shown.look, width=shown.width, height=shown.height)
    view = VideoView("view", box=(160, 160), pixels="rgb24")
    with render_views(clip, [view]) as views:
        assert views[view].shape == (30, 100, 160, 3) and views[view][:, [0, -1]].mean() > 60
    encode_clip(clip, tmp_path / "sample.mp4", EncodeRecipe(preset="ultrafast"))
    stored = probe(tmp_path / "sample.mp4").video
    assert str(stored.look) == "frame=320:200;pixels=yuv420p;exact=yes"


def test_wide_pixels_are_made_square(tmp_path: Path) -> None:
    path = tmp_path / "wide.mkv"
    write_mp4(tmp_path / "plain.mp4", _inside(_picture(1, DAY), 44, 44), 25, np.zeros(105_840, np.float32))
    again = ["-i", str(tmp_path / "plain.mp4"), "-vf", "setsar=4/3", "-c:v", "libx264", "-c:a", "copy", str(path)]
    subprocess.run([ffmpeg.binary(), "-y", "-loglevel", "error", *again], check=True)
    found, watch = probe(path), BorderWatch()
    shots = detect_shots(path, found, see=watch.see)
    (shown,) = settle(path, found, shots.ranges, watch)
    assert shown.look.crop == (320, 200, 0, 44) and (shown.width, shown.height) == (426, 200)
