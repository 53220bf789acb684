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


# What HDR should become. Light is linear, in nits, in BT.709 primaries; SDR white stands for the 203 nits of BT.2408.
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
PATCHES = np.array(
    [(100, 100, 100), (203, 203, 203), (600, 300, 150), (40, 300, 80), (60, 90, 900), (4000, 2000, 1000)]
)
COMPLETE = ["color_primaries=bt2020", "colorspace=bt2020nc", "range=tv"]


def _pq(nits: np.ndarray) -> np.ndarray:
    y = (nits / 10_000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def _hlg(nits: np.ndarray) -> np.ndarray:
    """Signal of grey light on a display of 1,000 nits (system gamma 1.2)."""
    scene = (nits / 1000) ** (1 / 1.2)
    high = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-9)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), high)


def _write_hdr(path: Path, signal: np.ndarray, transfer: str, tags: list[str]) -> Path:
    """10-bit 4:2:0 BT.2020 video of a coded picture, float (H, W, 3) in [0, 1]."""
    raw = np.round(signal * 65535).astype("<u2")
    to_yuv = "scale=out_color_matrix=bt2020:out_range=tv:flags=accurate_rnd,format=yuv420p10le"
    said = ":".join([f"color_trc={transfer}", *tags])
    return _write(path, raw, ["-vf", f"{to_yuv},setparams={said}", "-c:v", "ffv1", "-c:a", "flac"])


def _columns(colours: np.ndarray) -> np.ndarray:
    """A picture of vertical bars, (180, 40 a bar, 3)."""
    return np.repeat(colours, 40, axis=0)[None].repeat(180, axis=0)


def _seen(path: Path, out: Path, places: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """RGB at columns of the middle line, int (n, 3): in a full-size view, and in the encoded sample."""
    view = VideoView("full", pixels="rgb24", max_frames=1)
    with render_views(whole_clip(path), [view]) as views:
        seen = views[view][0][90, places].astype(int)
    return seen, _sample(path, out)[0][90, places].astype(int)


@pytest.mark.parametrize("tags", [COMPLETE, ["range=tv"], []], ids=["complete", "transfer only", "no range either"])
def test_a_pq_ramp_comes_back_monotone(tmp_path: Path, tags: list[str]) -> None:
    code = np.linspace(0, 1, 640)
    ramp = np.repeat(code[None, :, None], 180, 0).repeat(3, 2)
    path = _write_hdr(tmp_path / "ramp.mkv", ramp, "smpte2084", tags)
    assert whole_clip(path).look.light == "pq"
    seen, stored = _seen(path, tmp_path / "sample.mp4", list(range(640)))
    assert (np.diff(seen[:, 1]) >= 0).all() and np.ptp(seen, axis=1).max() <= 1
    grey = {nits: int(seen[np.abs(code - _pq(np.array(nits))).argmin(), 1]) for nits in (0.01, 1, 10, 100, 203, 1000)}
    assert grey[0.01] <= 6 and abs(grey[1] - 28) <= 3 and abs(grey[10] - 72) <= 4  # (nits / 203) ** (1 / 2.4)
    assert abs(grey[100] - 190) <= 10 and 205 <= grey[203] <= 225 and 238 <= grey[1000] <= 250
    assert seen[0, 1] == 0 and seen[-1, 1] == 255 and (seen[:, 1] < 255).mean() > 0.94
    assert np.abs(stored[4:-4] - seen[4:-4]).max() <= 6


def test_hdr_colours_keep_their_hue_and_are_not_clipped(tmp_path: Path) -> None:
    path = _write_hdr(tmp_path / "patches.mkv", _pq(_columns(PATCHES @ TO_2020.T)), "smpte2084", COMPLETE)
    seen, stored = _seen(path, tmp_path / "sample.mp4", [20 + 40 * i for i in range(len(PATCHES))])
    assert np.abs(stored - seen).max() <= 8 and seen.max() < 255
    for light, colour in zip(PATCHES, (seen / 255) ** 2.4):
        assert np.abs(colour / colour.max() - light / light.max()).max() < 0.05


def test_hlg_and_wide_colours(tmp_path: Path) -> None:
    greys = np.array([[10], [100], [203], [1000]]).repeat(3, 1)
    path = _write_hdr(tmp_path / "hlg.mkv", _hlg(_columns(greys)), "arib-std-b67", COMPLETE)
    seen, _ = _seen(path, tmp_path / "sample.mp4", [20, 60, 100, 140])
    assert np.abs(seen[:, 1] - [72, 183, 213, 246]).max() <= 4
    wide = (np.array([(191, 96, 48), (40, 150, 200), (128, 128, 128)]) / 255) ** 2.4
    path = _write_hdr(tmp_path / "wide.mkv", _columns(wide @ TO_2020.T) ** (1 / 2.4), "bt2020-10", COMPLETE)
    assert whole_clip(path).look.light == "wide"
    seen, stored = _seen(path, tmp_path / "sample.mp4", [20, 60, 100])
    assert np.abs(seen - [(191, 96, 48), (40, 150, 200), (128, 128, 128)]).max() <= 3
    assert np.abs(stored - seen).max() <= 6
