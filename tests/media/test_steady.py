"""Sound that changes its rate or channels on the way stays in place."""

import subprocess
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import soxr

from media import ffmpeg
from media.encode import EncodeRecipe, encode_clip
from media.probe import probe
from media.render import render_views
from media.sound import stream_sound
from media.views import AudioView
from media.whole import whole_clip

SOUND = AudioView("sound", rate=16_000, channels=1)
MPEG2 = ["-c:v", "mpeg2video", "-q:v", "4", "-bf", "2"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (["-c:a", "ac3", "-ac", "2"], ["-c:a", "ac3", "-ac", "6"]),
        (["-c:a", "mp2", "-ar", "48000"], ["-c:a", "mp2", "-ar", "44100"]),
    ],
    ids=["channels", "rate"],
)
def test_a_broadcast_that_changes(make_flashes, tmp_path: Path, before: list[str], after: list[str]) -> None:  # type: ignore[no-untyped-def]
    made = make_flashes("even.mkv", options=["-c:v", "ffv1", "-c:a", "flac"])
    quiet = [ffmpeg.binary(), "-y", "-nostdin", "-loglevel", "error", "-i", str(made.path)]
    for name, start, options in (("a.ts", 0, before), ("b.ts", 4, after)):
        stamped = ["-output_ts_offset", str(1 + start), "-muxdelay", "0", "-muxpreload", "0"]
        argv = [*quiet, "-ss", str(start), "-t", "4", *MPEG2, *options, *stamped, str(tmp_path / name)]
        subprocess.run(argv, check=True)
    (tmp_path / "changes.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    clip = replace(whole_clip(tmp_path / "changes.ts"), start_frame=50, frames=125)  # it changes at frame 100
    with render_views(clip, [SOUND]) as views:
        changed = views[SOUND]
    chirp = soxr.resample(made.chirp, 48_000, 16_000)
    late = []
    for frame in (f - 50 for f in made.flash_frames if 55 <= f < 170):
        near = changed[frame * 640 - 800 : frame * 640 + 800 + len(chirp)]
        late.append(int(np.correlate(near, chirp, "valid").argmax()) - 800)
    assert len(late) >= 5 and max(late) - min(late) <= 8  # samples at 16 kHz: two encoders have two delays
    assert abs(late[0]) <= 8
    encode_clip(clip, tmp_path / "out.mp4", EncodeRecipe(preset="ultrafast"))
    with av.open(str(tmp_path / "out.mp4")) as file:
        assert sum(block.samples for block in file.decode(audio=0)) == 5 * 44_100
    found = probe(tmp_path / "changes.ts")
    streamed = np.concatenate(list(stream_sound(tmp_path / "changes.ts", found, 195, 16_000, timeout_s=60)))
    assert streamed.shape == (195 * 640,)
    assert np.abs(streamed[50 * 640 + 800 : 175 * 640 - 800] - changed[800:-800]).max() < 0.02
