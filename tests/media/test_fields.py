"""Interlaced sources: the evidence decides, combs go away, and every frame keeps its place."""

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from media import ffmpeg
from media.fields import confirm, decide
from media.probe import probe
from media.render import render_views
from media.shown import settle
from media.synth.picture import backdrop, disc
from media.views import VideoView
from media.whole import whole_clip
from media.writer import write_mp4

FULL, EVERY = VideoView("full", max_frames=16), VideoView("every", box=(320, 200))
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "12", "-flags", "+ildct+ilme", "-pix_fmt", "yuv420p"]
STORED = {
    "tff.mp4": (*X264, "-x264opts", "tff=1", "-c:a", "aac"),
    "bff.ts": ("-c:v", "mpeg2video", "-q:v", "2", "-flags", "+ildct+ilme", "-c:a", "mp2"),
    "tff.mov": ("-c:v", "prores_ks", "-flags", "+ildct+ilme", "-c:a", "pcm_s16le"),
}


@pytest.fixture(scope="module")
def fast(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ball that crosses the picture at 50 frames per second, 3 s, H.264."""
    scene, frames = backdrop(5, (180, 170, 160), (70, 90, 60)), []
    for i in range(150):
        frames.append(scene.at(i / 50))
        disc(frames[-1], 30 + 260 * (i % 50) / 50, 80, 24, (220, 40, 30))
    path = tmp_path_factory.mktemp("fast") / "fast.mp4"
    write_mp4(path, np.stack(frames), 50, np.zeros(3 * 44_100, np.float32), crf=8)
    return path


def _store(source: Path, path: Path, options: tuple[str, ...], how: str) -> Path:
    argv = [ffmpeg.binary(), "-y", "-loglevel", "error", "-i", str(source), "-vf", how, *options, str(path)]
    subprocess.run(argv, check=True)
    return path


def _combs(frames: np.ndarray) -> float:
    """How much neighbouring lines differ beyond lines of one field, 95th percentile of |a - 2b + c|."""
    lines = frames.astype(int)
    return float(np.percentile(np.abs(lines[:, :-2] - 2 * lines[:, 1:-1] + lines[:, 2:]), 99.5))


@pytest.mark.parametrize("name", STORED)
def test_interlaced_is_made_whole(fast: Path, tmp_path: Path, name: str) -> None:
    order = name[:3]
    weave = f"tinterlace=interleave_{'top' if order == 'tff' else 'bottom'},setfield={order}"
    path = _store(fast, tmp_path / name, STORED[name], weave)
    found = probe(path)
    assert found.video.field_order != "progressive" and confirm(path, found) == order
    clip = replace(whole_clip(path), frames=16, start_frame=20)
    (shown,) = settle(path, found, [(0, 75)])
    assert clip.fps == 25 and shown.look.field == order
    with render_views(replace(clip, look=replace(clip.look, field="")), [FULL]) as views:
        woven = views[FULL]
    with render_views(replace(clip, look=shown.look), [FULL]) as views:
        whole = views[FULL]
    with render_views(replace(whole_clip(fast), start_frame=40, frames=34), [EVERY]) as views:
        known = views[EVERY].astype(float)[::2]
    assert len(whole) == 16 and _combs(woven) > 60 and _combs(whole) < 0.5 * _combs(woven)
    here, next_frame = known[:16, ::2, ::2], known[1:17, ::2, ::2]
    assert _apart(whole, here) < 3 and _apart(whole, here) < 0.6 * _apart(whole, next_frame)


def _apart(frames: np.ndarray, truth: np.ndarray) -> float:
    return float(np.abs(frames[:, ::2, ::2] - truth).mean())


def test_progressive_frames_under_an_interlaced_flag_are_left_alone(media_dir: Path, tmp_path: Path) -> None:
    path = _store(
        media_dir / "video" / "big_buck_bunny_small.mp4", tmp_path / "film.mp4", STORED["tff.mp4"], "setfield=tff"
    )
    found = probe(path)
    assert found.video.field_order == "tt" and found.video.look.field == "auto"
    assert confirm(path, found) == ""


def test_a_still_picture_is_taken_at_its_word(tmp_path: Path) -> None:
    write_mp4(tmp_path / "still.mp4", np.full((30, 96, 128, 3), 90, np.uint8), 25, np.zeros(52_920, np.float32))
    path = _store(tmp_path / "still.mp4", tmp_path / "still.ts", STORED["bff.ts"], "setfield=bff")
    assert confirm(path, probe(path)) == "auto"


@pytest.mark.parametrize(
    ("tff", "bff", "progressive", "expected"),
    [(200, 3, 20, "tff"), (0, 90, 160, "bff"), (5, 4, 240, ""), (3, 2, 1, "auto"), (60, 50, 40, "auto")],
)
def test_decisions(tff: int, bff: int, progressive: int, expected: str) -> None:
    assert decide({"tff": tff, "bff": bff, "progressive": progressive}) == expected
