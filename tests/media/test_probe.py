"""Probing: what good files hold, and the right code for every kind of bad one."""

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import MediaError
from media import ffmpeg
from media.probe import INELIGIBLE, probe
from media.whole import whole_clip
from media.writer import write_wav


def _code(path: Path, **options: float) -> str:
    with pytest.raises(MediaError) as caught:
        probe(path, **options)  # type: ignore[arg-type]
    return caught.value.code


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([ffmpeg.binary(), "-y", "-nostdin", "-loglevel", "error", *arguments], check=True)


def test_a_good_file(flashes) -> None:  # type: ignore[no-untyped-def]
    found = probe(flashes.path)
    assert (found.video.width, found.video.height, found.video.fps, found.video.frames) == (128, 96, Fraction(25), 200)
    assert found.video.codec == "h264" and found.duration_s == 8.0 and found.size == flashes.path.stat().st_size
    assert found.audio is not None
    assert (found.audio.codec, found.audio.rate, found.audio.channels) == ("aac", 48_000, 1)


@pytest.mark.parametrize(
    "name", ["clip.txt", "-i.mp4", "a 'b' \"c\" $(d) `e` %03d.mp4", "héé 名前.mp4", "http:x.mp4", "clip"]
)
def test_names_mean_nothing(flashes, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    shutil.copy(flashes.path, tmp_path / name)
    assert whole_clip(tmp_path / name).frames == 200


def test_bad_files_get_the_right_code(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    whole = flashes.path.read_bytes()
    head = tmp_path / "faststart.mp4"
    _ffmpeg("-i", str(flashes.path), "-c", "copy", "-movflags", "+faststart", str(head))
    files = {
        "empty.mp4": (b"", "media:empty"),
        "no_moov.mp4": (whole[: len(whole) * 6 // 10], "media:unreadable"),
        "truncated.mp4": (head.read_bytes()[: head.stat().st_size * 6 // 10], "media:truncated"),
        "no_head.mp4": (bytes(64) + whole[64:], "media:unreadable"),
        "page.mp4": (b"<!doctype html><html><body>404</body></html>", "media:not_media"),
        "notes.txt": ("Brot, Käse\n".encode(), "media:not_media"),
        "list.m3u8": (b"#EXTM3U\n#EXTINF:10,\n/etc/hostname\n", "media:not_media"),
        "list.mp4": (b"ffconcat version 1.0\nfile plain.mp4\n", "media:not_media"),
        "picture.png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "media:not_media"),
        "noise.mkv": (np.random.default_rng(0).bytes(20_000), "media:unreadable"),
        "noise.bin": (np.random.default_rng(0).bytes(20_000), "media:not_media"),
    }
    for name, (data, expected) in files.items():
        (tmp_path / name).write_bytes(data)
        assert _code(tmp_path / name) == expected, name


def test_ineligible_files(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    write_wav(tmp_path / "sound.wav", np.zeros(8000, np.float32), 16_000)
    (tmp_path / "sound.mp4").write_bytes((tmp_path / "sound.wav").read_bytes())
    _ffmpeg("-i", str(flashes.path), "-an", "-c", "copy", str(tmp_path / "mute.mkv"))
    cover = ["-map", "0:a", "-map", "0:v", "-frames:v", "1", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]
    _ffmpeg("-i", str(flashes.path), *cover, "-disposition:v", "attached_pic", str(tmp_path / "cover.m4a"))
    (tmp_path / "folder.mp4").mkdir()
    found = {name: _code(tmp_path / name) for name in ("sound.wav", "sound.mp4", "cover.m4a", "mute.mkv", "folder.mp4")}
    assert found == {
        "sound.wav": "media:no_video",
        "sound.mp4": "media:no_video",
        "cover.m4a": "media:no_video",
        "mute.mkv": "media:no_audio",
        "folder.mp4": "media:not_media",
    }
    assert set(found.values()) <= INELIGIBLE
    assert probe(tmp_path / "mute.mkv", need_audio=False).audio is None


def test_a_stream_whose_picture_is_shorter_than_its_sound_is_whole(tmp_path: Path) -> None:
    """MPEG streams say no length of their own; what ffmpeg reads off the last packets is no promise."""
    picture, sound = ["-f", "lavfi", "-i", "testsrc=s=64x48:r=25:d=5"], ["-f", "lavfi", "-i", "sine=d=40"]
    codecs = ["-c:v", "mpeg2video", "-c:a", "mp2"]
    _ffmpeg("-itsoffset", "9", *picture, *sound, *codecs, str(tmp_path / "late.ts"))
    assert probe(tmp_path / "late.ts").video.frames == 125


def test_missing_and_slow(flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "link.mp4").symlink_to(tmp_path / "nowhere.mp4")
    assert _code(tmp_path / "link.mp4") == "media:missing"
    assert _code(flashes.path, timeout_s=0.0) == "media:timeout"
    assert _code(flashes.path, max_rss=1 << 20) == "media:memory"


def test_rotation_and_pixel_shape(flashes, make_flashes, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    turned = tmp_path / "turned.mp4"
    _ffmpeg("-display_rotation:v:0", "90", "-i", str(flashes.path), "-c", "copy", str(turned))
    video = probe(turned).video
    assert (video.width, video.height, video.rotation) == (96, 128, 90)
    wide = make_flashes("wide.mp4", options=["-c:v", "libx264", "-vf", "setsar=16/15", "-pix_fmt", "yuv420p"])
    assert (probe(wide.path).video.width, probe(wide.path).video.height) == (136, 96)


def test_real_media(media_dir: Path) -> None:
    found = {path.name: probe(path) for path in sorted(media_dir.rglob("*.mp4"))}
    assert found["nasa_13013.mp4"].video.fps == Fraction(30000, 1001)
    assert found["big_buck_bunny_small.mp4"].audio.channels == 6  # type: ignore[union-attr]
    assert found["chaplin.mp4"].video.frames == 241
    assert probe(media_dir / "grid" / "bbaf2n.mpg").video.frames == 75
    assert _code(media_dir / "speech" / "jfk.flac") == "media:no_video"
    assert _code(media_dir / "MEDIA.tsv") == "media:not_media"
