"""Stream layouts of real footage: whatever a file is like, its views and samples are upright, square, stereo, whole."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from media import ffmpeg
from media.clip import clip_from_probe
from media.encode import EncodeRecipe, encode_clip
from media.probe import Probe, probe
from media.render import render_views
from media.shots import detect_shots
from media.views import AudioView, VideoView
from media.whole import whole_clip

FULL = VideoView("full", pixels="rgb24", max_frames=1)
STEREO = AudioView("stereo", rate=44_100, channels=2)
RED, GREEN, BLUE, GREY = (200, 30, 30), (30, 180, 40), (30, 40, 200), (128, 128, 128)
QUARTERS = np.array([[RED, GREEN], [BLUE, GREY]], np.uint8)  # of the upright picture: top, bottom
H264 = ["-c:v", "libx264", "-preset", "veryfast", "-qp", "8", "-pix_fmt", "yuv420p"]
TONE = ["-f", "lavfi", "-i", "sine=440:d=0.8:r=48000"]


def _ffmpeg(*arguments: str, data: bytes = b"") -> None:
    subprocess.run([ffmpeg.binary(), "-y", "-loglevel", "error", *arguments], input=data, check=True)


def _stored(path: Path, quarters: np.ndarray, size: tuple[int, int], options: list[str]) -> Path:
    """0.8 s of four coloured quarters, uint8 (2, 2, 3) or (2, 2, 4) with alpha, at (width, height), and a tone."""
    rows, columns = np.arange(size[1]) * 2 // size[1], np.arange(size[0]) * 2 // size[0]
    picture = quarters[rows][:, columns]
    pixels = "rgba" if quarters.shape[2] == 4 else "rgb24"
    raw = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{size[0]}x{size[1]}", "-r", "25", "-i", "-"]
    _ffmpeg(*raw, *TONE, *options, ffmpeg.file_url(path), data=np.ascontiguousarray(picture).tobytes() * 20)
    return path


def _middles(picture: np.ndarray) -> np.ndarray:
    """The colours in the middle of the four quarters, int (2, 2, 3)."""
    height, width = picture.shape[:2]
    return picture[np.ix_([height // 4, height * 3 // 4], [width // 4, width * 3 // 4])].astype(int)


@dataclass(frozen=True)
class Layout:
    """size: stored (width, height); shown: what it must become; turned: display-matrix options, applied by a copy."""

    name: str
    size: tuple[int, int]
    shown: tuple[int, int]
    options: tuple[str, ...] = (*H264, "-c:a", "aac")
    turned: tuple[str, ...] = ()


FFV1, X265 = ("-c:v", "ffv1"), ("-c:v", "libx265", "-x265-params", "log-level=error", "-crf", "8")
VP9 = ("-c:v", "libvpx-vp9", "-crf", "10", "-cpu-used", "8")
ANAMORPHIC = (*H264, "-vf", "setsar=4/3", "-c:a", "aac")
LAYOUTS = [
    Layout("plain.mp4", (160, 120), (160, 120)),
    Layout("cclock.mp4", (120, 160), (160, 120), turned=("-display_rotation:v:0", "90")),
    Layout("clock.mov", (120, 160), (160, 120), turned=("-display_rotation:v:0", "-90")),
    Layout("half.mp4", (160, 120), (160, 120), turned=("-display_rotation:v:0", "180")),
    Layout("mirror.mp4", (160, 120), (160, 120), turned=("-display_hflip:v:0",)),
    Layout("flip.mkv", (160, 120), (160, 120), turned=("-display_vflip:v:0",)),
    Layout("wide.mp4", (120, 120), (160, 120), ANAMORPHIC),
    Layout("wide_turned.mp4", (120, 120), (120, 160), ANAMORPHIC, ("-display_rotation:v:0", "90")),
    Layout("odd.mkv", (161, 121), (161, 121), (*FFV1, "-c:a", "flac")),
    Layout("ten_bits.mp4", (160, 120), (160, 120), (*X265, "-pix_fmt", "yuv420p10le", "-c:a", "aac")),
    Layout("422.mov", (160, 120), (160, 120), ("-c:v", "prores_ks", "-c:a", "pcm_s24le")),
    Layout("444.webm", (160, 120), (160, 120), (*VP9, "-pix_fmt", "yuv444p", "-c:a", "libopus")),
]  # fmt: skip
TURNS = {
    "cclock": lambda upright: np.rot90(upright, -1),
    "clock": lambda upright: np.rot90(upright, 1),
    "half": lambda upright: np.rot90(upright, 2),
    "mirror": lambda upright: upright[:, ::-1],
    "flip": lambda upright: upright[::-1],
    "wide_turned": lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_shown_upright_square_and_whole(tmp_path: Path, layout: Layout) -> None:
    stored = TURNS.get(layout.name.partition(".")[0], lambda upright: upright)(QUARTERS)
    path = _stored(tmp_path / f"stored_{layout.name}", stored, layout.size, list(layout.options))
    if layout.turned:
        _ffmpeg(*layout.turned, "-i", str(path), "-c", "copy", str(tmp_path / layout.name))
        path = tmp_path / layout.name
    clip = whole_clip(path)
    assert (clip.width, clip.height) == layout.shown and 19 <= clip.frames <= 20
    with render_views(clip, [FULL, STEREO]) as views:
        assert views[FULL].shape[1:] == (*layout.shown[::-1], 3)
        assert np.abs(_middles(views[FULL][0]) - QUARTERS).max() <= 6
        assert len(views[STEREO]) == clip.frames * 1764
    encode_clip(clip, tmp_path / "sample.mp4", EncodeRecipe(preset="ultrafast", crf=8))
    with av.open(str(tmp_path / "sample.mp4")) as file:
        frames = [frame.to_ndarray(format="rgb24", src_colorspace="ITU709") for frame in file.decode(video=0)]
        assert file.streams.audio[0].channels == 2 and len(frames) == clip.frames
    assert frames[0].shape[:2] == tuple(side - side % 2 for side in layout.shown[::-1])
    assert np.abs(_middles(frames[9]) - QUARTERS).max() <= 8


CLEAR = {
    "prores.mov": ["-c:v", "prores_ks", "-pix_fmt", "yuva444p10le"],
    "animation.mov": ["-c:v", "qtrle", "-pix_fmt", "argb"],
    "vp8.webm": ["-c:v", "libvpx", "-auto-alt-ref", "0", "-pix_fmt", "yuva420p", "-b:v", "2M", "-c:a", "libopus"],
    "vp9.webm": ["-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-crf", "10", "-cpu-used", "8", "-c:a", "libopus"],
    "ffv1.mkv": ["-c:v", "ffv1", "-pix_fmt", "yuva420p"],
}


@pytest.mark.parametrize("name", CLEAR)
def test_transparency_is_laid_on_black(tmp_path: Path, name: str) -> None:
    """Opaque, half clear, and clear over colours that nobody is meant to see."""
    quarters = np.array([[(*RED, 255), (*GREEN, 128)], [(*BLUE, 0), (250, 0, 250, 0)]], np.uint8)
    clip = whole_clip(_stored(tmp_path / name, quarters, (160, 120), CLEAR[name]))
    assert clip.look.alpha
    expected = [[RED, tuple(round(c * 128 / 255) for c in GREEN)], [(0, 0, 0), (0, 0, 0)]]
    with render_views(clip, [FULL]) as views:
        assert np.abs(_middles(views[FULL][0]) - expected).max() <= 8


def _tones(path: Path, channels: int, level: float) -> Probe:
    """A file whose channel c has a tone of (300 + 100 c) Hz at this peak level."""
    t = np.arange(48_000) / 48_000
    sound = np.stack([level * np.sin(2 * np.pi * (300 + 100 * c) * t) for c in range(channels)], axis=1)
    shown = ["-f", "lavfi", "-i", "color=gray:s=64x48:r=25:d=1"]
    heard = ["-f", "f32le", "-ar", "48000", "-ac", str(channels), "-i", "-"]
    _ffmpeg(*shown, *heard, *H264, "-c:a", "pcm_f32le", str(path), data=sound.astype("<f4").tobytes())
    return probe(path)


def _strengths(sound: np.ndarray, channels: int) -> np.ndarray:
    """The peak of each channel's tone in the two sides of a stereo sound, (channels, 2)."""
    spectrum = np.abs(np.fft.rfft(sound[:44_100], axis=0)) / 22_050
    return spectrum[[300 + 100 * c for c in range(channels)]]


SIDE = 0.5**0.5
MIXES = {  # what each channel is worth on the left and on the right, before each is scaled to a sum of 1
    3: [(1, 0), (0, 1), (0, 0)],
    6: [(1, 0), (0, 1), (SIDE, SIDE), (0, 0), (SIDE, 0), (0, SIDE)],
    8: [(1, 0), (0, 1), (SIDE, SIDE), (0, 0), (SIDE, 0), (0, SIDE), (SIDE, 0), (0, SIDE)],
    9: [(1, 0), (0, 1)] * 4 + [(1, 0)],
}


@pytest.mark.parametrize("channels", MIXES)
def test_many_channels_are_mixed_down_without_clipping(tmp_path: Path, channels: int) -> None:
    found = _tones(tmp_path / "many.mov", channels, 1.0)
    assert found.audio is not None and found.audio.channels == channels
    clip = whole_clip(tmp_path / "many.mov")
    with render_views(clip, [STEREO]) as views:
        heard = np.array(views[STEREO])
    mix = np.array(MIXES[channels])
    assert np.abs(_strengths(heard, channels) - mix / mix.sum(0)).max() < 0.02 and np.abs(heard).max() <= 1.0
    encode_clip(clip, tmp_path / "sample.mp4", EncodeRecipe(preset="ultrafast"))
    with render_views(whole_clip(tmp_path / "sample.mp4"), [STEREO]) as views:
        assert np.abs(views[STEREO] - heard).max() < 0.001


def test_the_chosen_track_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "tracks.mkv"
    tones = [part for hertz in (300, 400, 500) for part in ("-f", "lavfi", "-i", f"sine={hertz}:d=1:r=48000")]
    named = ["-metadata:s:a:0", "language=fre", "-metadata:s:a:1", "language=eng", "-metadata:s:a:2", "language=eng"]
    kinds = ["-disposition:a:0", "0", "-disposition:a:1", "default", "-disposition:a:2", "default+comment"]
    tracks = ["-map", "0", "-map", "1", "-map", "2", "-map", "3", "-ac:a:0", "6"]
    _ffmpeg(
        "-f",
        "lavfi",
        "-i",
        "color=gray:s=64x48:r=25:d=1",
        *tones,
        *tracks,
        *H264,
        "-c:a",
        "flac",
        *named,
        *kinds,
        str(path),
    )
    for order, hertz in ((["default", "channels"], 400), (["channels"], 300), (["lang:fre"], 300), (["lang:eng"], 400)):
        found = probe(path, audio_order=order)
        assert [track.language for track in found.audio_tracks].count("eng") == 2 and len(found.audio_tracks) == 3
        clip = clip_from_probe(path, found, 0, 25, clip_id=bytes(16), source_id=bytes(16))
        with render_views(clip, [AudioView("mono", rate=48_000, channels=1)]) as views:
            (sound,) = views.arrays.values()
            assert np.abs(np.fft.rfft(sound[:48_000])).argmax() == hertz, order


def _part(path: Path, start: float, size: str, channels: int) -> bytes:
    shown = ["-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=3"]
    clock = ["-output_ts_offset", str(start), "-muxdelay", "0", "-muxpreload", "0"]
    heard = ["-f", "lavfi", "-i", "sine=440:d=3:r=48000", "-ac", str(channels), "-c:a", "ac3"]
    _ffmpeg(*shown, *heard, *H264, "-bf", "0", "-g", "25", *clock, str(path))
    return path.read_bytes()


@pytest.mark.parametrize(("size", "channels"), [("256x192", 2), ("320x180", 6)], ids=["size", "channels"])
def test_a_stream_that_changes_keeps_everything_in_place(tmp_path: Path, size: str, channels: int) -> None:
    first, second = _part(tmp_path / "a.ts", 0, "320x180", 2), _part(tmp_path / "b.ts", 3, size, channels)
    (path := tmp_path / "spliced.ts").write_bytes(first + second)
    found = probe(path)
    assert found.video.frames == 150 == detect_shots(path, found).frames_decoded
    clip = clip_from_probe(path, found, 50, 50, clip_id=bytes(16), source_id=bytes(16))
    with render_views(clip, [VideoView("small", box=(80, 45)), STEREO]) as views:
        assert len(views[STEREO]) == 88_200 and _loud(views[STEREO])
    encode_clip(clip, tmp_path / "sample.mp4", EncodeRecipe(preset="ultrafast"))
    sample = whole_clip(tmp_path / "sample.mp4")
    with render_views(sample, [STEREO]) as views:
        assert sample.frames == 50 and len(views[STEREO]) == 88_200 and _loud(views[STEREO])


def _loud(sound: np.ndarray) -> bool:
    """Whether every 20 ms of a sound hold something."""
    return bool(np.abs(sound.reshape(100, 882, 2)).max((1, 2)).min() > 0.02)
