"""Sync: sound and picture of a cut keep the places they have in the source, in every container and by index alone."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import soxr

from media.clip import Clip
from media.encode import EncodeRecipe, encode_clip
from media.render import render_views
from media.views import AudioView, VideoView
from media.whole import whole_clip

H264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "2", "-g", "50"]
VP8 = ["-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8"]
NTSC = Fraction(30000, 1001)
EXACT_MS, MILLISECOND_CLOCK_MS = 0.1, 1.5
PICTURE, SOUND = VideoView("picture", box=(128, 96)), AudioView("sound", rate=48_000, channels=1)

# name, rate, options, what the container itself adds (sound late, ms), how exact its clock is (ms)
CASES = [
    ("aac.mp4", 24, [*H264, "-c:a", "aac"], 0.0, EXACT_MS),
    ("aac.mp4", NTSC, [*H264, "-c:a", "aac"], 0.0, EXACT_MS),
    ("flac.mkv", 25, [*H264, "-c:a", "flac"], 0.0, MILLISECOND_CLOCK_MS),
    ("opus.webm", NTSC, [*VP8, "-c:a", "libopus"], 0.0, MILLISECOND_CLOCK_MS),
    ("mp2.mpg", 25, ["-c:v", "mpeg2video", "-q:v", "4", "-bf", "2", "-c:a", "mp2"], 0.0, EXACT_MS),
    ("mp2.ts", NTSC, [*H264, "-c:a", "mp2"], 0.0, EXACT_MS),
    ("pcm.mov", 24, ["-c:v", "mjpeg", "-q:v", "4", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"], 0.0, EXACT_MS),
    ("late_sound.mp4", 25, [*H264, "-c:a", "aac", "-af", "asetpts=PTS+0.111/TB"], 111.0, EXACT_MS),
    ("late_picture.mkv", 25, [*H264, "-vf", "setpts=PTS+0.08/TB", "-c:a", "flac"], -80.0, MILLISECOND_CLOCK_MS),
    ("late_picture.ts", 25, [*H264, "-vf", "setpts=PTS+0.08/TB", "-c:a", "mp2"], -80.0, EXACT_MS),
]


@pytest.mark.parametrize(("name", "fps", "options", "added_ms", "exact_ms"), CASES, ids=lambda v: str(v)[:24])
def test_offset_of_every_event(  # type: ignore[no-untyped-def]
    make_flashes, tmp_path: Path, name: str, fps: Fraction, options: list[str], added_ms: float, exact_ms: float
) -> None:
    made = make_flashes(name, fps=fps, seconds=9, options=[*options, "-fps_mode", "passthrough"])
    whole = whole_clip(made.path)
    assert whole.fps == fps
    seen = 0
    for start in (0, 17, 149):
        clip = replace(whole, start_frame=start, frames=min(70, whole.frames - start))
        with render_views(clip, [PICTURE, SOUND]) as views:
            picture, sound = views[PICTURE], views[SOUND]
        seen += _check(clip, picture, sound, 48_000, made, added_ms, exact_ms)
        encode_clip(clip, tmp_path / "sample.mp4", EncodeRecipe(preset="ultrafast"))
        _check(clip, *_decode_by_index(tmp_path / "sample.mp4"), 44_100, made, added_ms, exact_ms)
    assert seen >= 6


def _check(clip: Clip, picture, sound, rate: int, made, added_ms: float, exact_ms: float) -> int:  # type: ignore[no-untyped-def]
    """Compare every event well inside the clip with the truth, by frame and sample index; returns how many."""
    bright = picture[:, 30:60, 40:90].mean((1, 2)) > 130
    events = [f - clip.start_frame for f in made.flash_frames if 12 <= f - clip.start_frame < clip.frames - 12]
    assert [
        f for f in range(1, clip.frames) if bright[f] and not bright[f - 1] and 12 <= f < clip.frames - 12
    ] == events
    chirp = soxr.resample(made.chirp, 48_000, rate) if rate != 48_000 else made.chirp
    for event in events:
        expected = event / float(clip.fps) + added_ms / 1000
        first = round((expected - 0.1) * rate)
        nearby = sound[first : first + len(chirp) + round(0.2 * rate)]
        found = (first + int(np.abs(np.correlate(nearby, chirp, "valid")).argmax())) / rate
        assert abs(found - expected) * 1000 < exact_ms
    return len(events)


def _decode_by_index(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames and samples in the order they come, as a reader that ignores timestamps sees them."""
    with av.open(str(path)) as file:
        picture = np.stack([frame.to_ndarray(format="gray") for frame in file.decode(video=0)])
    with av.open(str(path)) as file:
        blocks = [frame.to_ndarray().reshape(-1, 2)[:, 0] for frame in file.decode(audio=0)]
    return picture, np.concatenate(blocks).astype(np.float32) / 32768
