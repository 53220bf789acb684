"""Files that ask for more than they are: bounded time and memory, and a code that says what was wrong."""

import struct
import time
from dataclasses import replace
from pathlib import Path

import pytest

from manifests.errors import MediaError
from media.clip import clip_from_probe
from media.encode import EncodeRecipe, encode_bytes
from media.probe import Probe, probe
from media.render import render_views
from media.shots import detect_shots
from media.views import VideoView

BOUND_S = 20
MJPEG = ["-c:v", "mjpeg", "-q:v", "9", "-pix_fmt", "yuvj420p", "-c:a", "pcm_s16le"]


def code_of(path: Path, like: Probe | None = None) -> str:
    """The code of probing a file, or of rendering it as if it were `like`; ok when nothing is wrong."""
    try:
        if like is None:
            probe(path, max_rss=1 << 29)
        else:
            clip = clip_from_probe(path, like, 0, 10, clip_id=bytes(16), source_id=bytes(16))
            with render_views(clip, [VideoView("small", box=(32, 24))], max_rss=1 << 29):
                pass
            encode_bytes(clip, EncodeRecipe(preset="ultrafast"), max_rss=1 << 29)
            detect_shots(path, like, timeout_s=BOUND_S)
    except MediaError as error:
        return error.code
    return "ok"


def larger(data: bytes, width: int, height: int) -> bytes:
    """A file of JPEG pictures in which each, and the container, say that they are larger."""
    for start in (b"\xff\xc0\x00\x11\x08", b"\xff\xc2\x00\x11\x08"):
        data = data.replace(start + struct.pack(">HH", 96, 128), start + struct.pack(">HH", height, width))
    return data.replace(struct.pack("<II", 128, 96), struct.pack("<II", width, height))


@pytest.mark.parametrize("size", [(16_384, 16_384), (65_000, 4000), (8192, 8200)])
def test_a_picture_that_says_it_is_huge(make_flashes, tmp_path: Path, size: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    made = make_flashes("small.avi", seconds=1, options=MJPEG)
    like = probe(made.path)
    (tmp_path / "huge.avi").write_bytes(larger(made.path.read_bytes(), *size))
    began = time.monotonic()
    assert code_of(tmp_path / "huge.avi") in {"media:too_large", "media:unreadable"}
    assert code_of(tmp_path / "huge.avi", like) in {"media:ffmpeg_failed", "media:decode_errors", "media:memory"}
    assert time.monotonic() - began < BOUND_S


def test_a_picture_that_grows_later(make_flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The head is what it says; the bomb comes after what the probe decodes."""
    made = make_flashes("grows.avi", seconds=8, options=MJPEG)
    whole, half = made.path.read_bytes(), made.path.stat().st_size // 2
    (tmp_path / "grows.avi").write_bytes(whole[:half] + larger(whole[half:], 16_000, 16_000))
    like = probe(tmp_path / "grows.avi")
    clip = clip_from_probe(tmp_path / "grows.avi", like, 0, like.video.frames, clip_id=bytes(16), source_id=bytes(16))
    with pytest.raises(MediaError) as caught, render_views(clip, [VideoView("small", box=(32, 24))], max_rss=1 << 29):
        pass
    assert caught.value.code in {"media:decode_errors", "media:ffmpeg_failed", "media:short"}


def test_lies_about_length(make_flashes, flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mp4 = flashes.path.read_bytes()
    for name, kind in (("movie", b"mvhd"), ("track", b"mdhd")):
        at = mp4.index(kind) + 4 + 4 + 8 + 4
        (tmp_path / f"{name}.mp4").write_bytes(mp4[:at] + struct.pack(">I", 0x7FFFFFF0) + mp4[at + 4 :])
        found = probe(tmp_path / f"{name}.mp4")
        assert found.video.frames == 200
        assert detect_shots(tmp_path / f"{name}.mp4", found).frames_decoded == 200
    mkv = make_flashes("lies.mkv", seconds=2).path.read_bytes()
    at = mkv.index(b"\x44\x89\x88") + 3
    (tmp_path / "hours.mkv").write_bytes(mkv[:at] + struct.pack(">d", 3.6e7) + mkv[at + 8 :])
    assert code_of(tmp_path / "hours.mkv") in {"ok", "media:truncated"}


def test_a_timestamp_days_ahead(make_flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The last picture of an FLV is stamped 12 days late: it is not shown as 12 days of one frame."""
    flv = make_flashes("ahead.flv", seconds=2, options=["-c:v", "flv", "-c:a", "libmp3lame", "-ar", "44100"])
    data, at, last = flv.path.read_bytes(), 13, 0
    while at < len(data):  # tags: type, 3 bytes of size, 3 of milliseconds, 1 more of them, 3 of nothing
        last = at if data[at] == 9 else last
        at += 11 + int.from_bytes(data[at + 1 : at + 4], "big") + 4
    (tmp_path / "ahead.flv").write_bytes(data[: last + 7] + b"\x40" + data[last + 8 :])
    assert code_of(flv.path) == "ok"
    assert code_of(tmp_path / "ahead.flv") == "media:timestamps"


def test_tables_that_ask_for_memory(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Counts of entries that the file does not hold."""
    mp4, began = flashes.path.read_bytes(), time.monotonic()
    like = probe(flashes.path)
    for kind, skip in ((b"stsz", 8), (b"stts", 4), (b"ctts", 4), (b"stco", 4), (b"stsc", 4), (b"stss", 4)):
        at = mp4.index(kind) + 4 + skip
        path = tmp_path / f"{kind.decode()}.mp4"
        path.write_bytes(mp4[:at] + struct.pack(">I", 0x0FFFFFFF) + mp4[at + 4 :])
        assert code_of(path).startswith(("media:", "ok")) and code_of(path, like).startswith(("media:", "ok"))
    assert time.monotonic() - began < 3 * BOUND_S


def test_a_single_size_for_more_samples_than_there_are_bytes(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    mp4 = flashes.path.read_bytes()
    at = mp4.index(b"stsz") + 8
    (tmp_path / "same.mp4").write_bytes(mp4[:at] + struct.pack(">II", 1, 0x0FFFFFFF) + mp4[at + 8 :])
    began = time.monotonic()
    assert code_of(tmp_path / "same.mp4").startswith("media:")
    assert time.monotonic() - began < BOUND_S


def test_links_that_go_round_and_devices(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "b.mp4")
    (tmp_path / "b.mp4").symlink_to(tmp_path / "a.mp4")
    (tmp_path / "zero.mp4").symlink_to("/dev/zero")
    assert code_of(tmp_path / "a.mp4") == "media:missing"
    assert code_of(tmp_path / "zero.mp4") == "media:not_media"


def test_a_replaced_file_is_missed_not_crashed_on(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    like = probe(flashes.path)
    clip = replace(
        clip_from_probe(tmp_path / "gone.mp4", like, 100, 10, clip_id=bytes(16), source_id=bytes(16)), audio_index=None
    )
    with pytest.raises(MediaError) as caught:
        encode_bytes(clip, EncodeRecipe())
    assert caught.value.code == "media:missing"
