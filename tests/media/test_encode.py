"""The MP4 of a sample: the same bytes every time, exact lengths, nothing that needs an edit list."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from manifests.errors import MediaError
from media.clip import clip_from_probe
from media.encode import EncodeRecipe, encode_bytes, encode_clip
from media.probe import probe
from media.whole import whole_clip

RECIPE = EncodeRecipe(preset="superfast")


def test_two_runs_give_the_same_bytes(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    clip = replace(whole_clip(flashes.path), start_frame=31, frames=60)
    encode_clip(clip, tmp_path / "a.mp4", RECIPE)
    encode_clip(clip, tmp_path / "b.mp4", RECIPE)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(("fps", "frames", "samples"), [(25, 60, 105_840), (Fraction(30000, 1001), 61, 89_760)])
def test_exact_lengths(make_flashes, tmp_path: Path, fps: Fraction, frames: int, samples: int) -> None:  # type: ignore[no-untyped-def]
    clip = replace(whole_clip(make_flashes("in.mp4", fps=fps).path), start_frame=20, frames=frames)
    out = tmp_path / "out.mp4"
    encode_clip(clip, out, RECIPE)
    with av.open(str(out)) as file:
        video, audio = file.streams.video[0], file.streams.audio[0]
        assert (video.codec_context.name, video.format.name, video.average_rate) == ("h264", "yuv420p", fps)
        assert (audio.codec_context.name, audio.rate, audio.channels) == ("flac", 44_100, 2)
        packets = [p for p in file.demux(video) if p.pts is not None]
        assert [p.pts * p.time_base * fps for p in packets] == list(range(frames))  # stored in the order shown
        assert all(p.pts == p.dts for p in packets)  # no B-frames, no composition offsets
    with av.open(str(out)) as file:
        decoded = list(file.decode(audio=0))
    assert decoded[0].pts == 0 and sum(frame.samples for frame in decoded) == samples
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat") and b"Lavf6" not in data and b"Lavf5" not in data


def test_sizes_become_even_and_fit_the_box(make_flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    options = ["-vf", "scale=121:91", "-c:v", "ffv1", "-c:a", "flac"]
    clip = replace(whole_clip(make_flashes("odd.mkv", seconds=2, options=options).path), frames=20)
    sizes = {}
    for box in (None, (60, 60), (500, 500)):
        encode_clip(clip, tmp_path / "out.mp4", replace(RECIPE, box=box))
        with av.open(str(tmp_path / "out.mp4")) as file:
            sizes[box] = (file.streams.video[0].width, file.streams.video[0].height)
    assert sizes == {None: (120, 90), (60, 60): (60, 44), (500, 500): (120, 90)}


def test_a_short_source_leaves_no_file(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    clip = replace(whole_clip(flashes.path), start_frame=150, frames=60)
    with pytest.raises(MediaError) as caught:
        encode_clip(clip, tmp_path / "out.mp4", RECIPE)
    assert caught.value.code == "media:short"
    assert list(tmp_path.iterdir()) == []


def test_a_cut_that_leaves_a_short_first_audio_frame_is_encoded(media_dir):
    """14 samples were left of the first decoded frame here: fewer than FLAC's smallest block."""
    found = probe(media_dir / "video/big_buck_bunny_0_30.webm")
    ids = {"clip_id": bytes(16), "source_id": bytes(16)}
    clip = clip_from_probe(media_dir / "video/big_buck_bunny_0_30.webm", found, 492, 59, **ids)
    assert len(encode_bytes(clip, EncodeRecipe(box=(160, 90), preset="ultrafast"))) > 10_000
