"""Colours: whatever a source's matrix, range, depth or light, red is red and grey is grey, in views and in samples."""

import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from media import ffmpeg
from media.encode import EncodeRecipe, encode_clip
from media.render import render_views
from media.views import LUMA_25, VideoView
from media.whole import whole_clip

SMALL = VideoView("small", box=(128, 72), pixels="rgb24")
BARS = [(191, 191, 191), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191), (30,) * 3]
SDR = {
    "bt601.mp4": ["bt601", "tv", "yuv420p", "libx264"],
    "bt709.mp4": ["bt709", "tv", "yuv420p", "libx264"],
    "full.mp4": ["bt709", "pc", "yuv420p", "libx264"],
    "bt2020_matrix.mkv": ["bt2020", "tv", "yuv420p10le", "libx264"],
    "422.mp4": ["bt709", "tv", "yuv422p", "libx264"],
    "444_10.mp4": ["bt709", "tv", "yuv444p10le", "libx264"],
    "mjpeg.mov": ["bt601", "pc", "yuvj422p", "mjpeg"],
    "prores.mov": ["bt709", "tv", "yuv422p10le", "prores_ks"],
    "rgb.mkv": ["", "", "gbrp", "ffv1"],
    "rgb_10.mkv": ["", "", "gbrp10le", "ffv1"],
    "palette.avi": ["", "", "pal8", "rawvideo"],  # through its own best palette
}
SPACES = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}


def _write(path: Path, rgb: np.ndarray, options: list[str]) -> Path:
    """An 8-bit or 16-bit RGB picture, (H, W, 3), shown for half a second beside a tone."""
    pixels = "rgb24" if rgb.dtype == np.uint8 else "rgb48le"
    raw = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{rgb.shape[1]}x{rgb.shape[0]}", "-r", "25", "-i", "-"]
    tone = ["-f", "lavfi", "-i", "sine=440:d=0.6:r=48000"]
    argv = [ffmpeg.binary(), "-y", "-loglevel", "error", *raw, *tone, *options, "-shortest", ffmpeg.file_url(path)]
    subprocess.run(argv, input=rgb.tobytes() * 15, check=True)
    return path


def _bars() -> np.ndarray:
    return np.repeat(np.array(BARS, np.uint8), 40, axis=0)[None].repeat(180, axis=0)


def _at_bars(picture: np.ndarray) -> np.ndarray:
    """The colours at the middle of the eight bars, int (8, 3)."""
    height, width = picture.shape[:2]
    middle = [(2 * i + 1) * width // 16 for i in range(8)]
    return picture[height // 2, middle].astype(int)


def _sample(path: Path, out: Path) -> tuple[np.ndarray, tuple[int, int, int, int]]:
    """The middle frame of the encoded sample as RGB, and its colour tags."""
    encode_clip(whole_clip(path), out, EncodeRecipe(preset="ultrafast", crf=4))
    with av.open(str(out)) as file:
        frames = list(file.decode(video=0))
    frame = frames[len(frames) // 2]
    tags = frame.colorspace, frame.color_range, frame.color_trc, frame.color_primaries
    return frame.to_ndarray(format="rgb24", src_colorspace="ITU709"), tuple(map(int, tags))  # type: ignore[return-value]


@pytest.mark.parametrize("name", SDR)
def test_bars_keep_their_colours(tmp_path: Path, name: str) -> None:
    matrix, span, pixels, codec = SDR[name]
    options = ["-pix_fmt", pixels, "-c:v", codec, "-c:a", "pcm_s16le" if name.endswith("avi") else "aac"]
    options += ["-q:v", "2"] if codec == "mjpeg" else ["-qp", "4"] if codec == "libx264" else []
    if pixels == "pal8":
        options = ["-vf", "split[a][b];[a]palettegen=reserve_transparent=0[p];[b][p]paletteuse=dither=none", *options]
    if matrix:
        options = ["-vf", f"scale=out_color_matrix={matrix}:out_range={span}:flags=accurate_rnd", *options]
        options += ["-colorspace", SPACES[matrix], "-color_range", span]
    path = _write(tmp_path / name, _bars(), options)
    with render_views(whole_clip(path), [SMALL, LUMA_25]) as views:
        assert np.abs(_at_bars(views[SMALL][7]) - BARS).max() <= 4
        luma = views[LUMA_25][7][72, [(2 * i + 1) * 16 for i in range(8)]]
        assert np.abs(luma - np.array(BARS) @ [0.2126, 0.7152, 0.0722]).max() <= 3
    picture, tags = _sample(path, tmp_path / "sample.mp4")
    assert np.abs(_at_bars(picture) - BARS).max() <= 5
    assert tags == (1, 1, 1, 1)
