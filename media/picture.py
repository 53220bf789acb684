"""From a stored picture to a shown one: ffmpeg filters for fields, transparency, borders, size, colours and light.

Everything that is ever seen of a source (views, samples, what the shot detector looks at) goes through `whole_frames`
and `scaled`, so that all agree. Colours are said, never guessed by a filter: files are full of missing and wrong tags,
and some carry them on every other frame.
"""

from typing import Any

from media.look import Look

FLAGS = "bicubic+accurate_rnd+full_chroma_int+bitexact"
BILINEAR = "bilinear+accurate_rnd+full_chroma_int+bitexact"
"""Within 0.1 grey levels, in the mean, of what torchvision's Resize makes of a tensor."""
_RANGES = {"limited": "tv", "full": "pc"}
_TRANSFERS = {"wide": "bt709", "pq": "smpte2084", "hlg": "arib-std-b67"}
_WHITE_NITS = 203
"""Diffuse white of HDR programmes (ITU-R BT.2408): what SDR calls white, before the highlights get their room."""
_PEAK = 10_000 / _WHITE_NITS
"""The brightest that PQ can say. Mobius leaves shadows and skin alone whatever the peak, so it need not be known:
measured, 100 nits land at code 183 of 255 with this peak and at 184 with one of 1,000 nits."""


def decoder_options(look: Look) -> dict[str, Any]:
    """Input options that the picture needs.

    The native VP8 and VP9 decoders drop the transparency of WebM files. When frames change in the middle of a stream
    (spliced broadcasts, stream recordings), ffmpeg would build its filters anew and lose the frames inside them; with
    a known frame size `whole_frames` takes care of it. It turns frames too, after it has made fields whole.
    """
    options: dict[str, Any] = {"c:v": look.alpha} if look.alpha.startswith("libvpx") else {}
    return options | ({"reinit_filter:v": 0, "noautorotate": None} if look.frame else {})


def whole_frames(video: Any, look: Look) -> Any:
    """Decoded frames of one size, upright, fields made whole: as many frames as before, at the same times.

    The first filter must take frames of any size and kind, as only the scaler can; it costs nothing while they fit.
    """
    if look.frame:
        video = video.filter("scale", *look.frame).filter("format", look.pixels)
    if look.field:
        video = video.filter("bwdif", mode="send_frame", parity=look.field, deint="all")
    return turned(video, look)


def turned(video: Any, look: Look) -> Any:
    """Frames upright."""
    if look.turn == "half":
        return video.filter("hflip").filter("vflip")
    if look.turn in {"hflip", "vflip"}:
        return video.filter(look.turn)
    return video.filter("transpose", look.turn) if look.turn else video


def scaled(frames: Any, look: Look, size: tuple[int, int], pixels: str, flags: str = FLAGS) -> Any:
    """Frames as shown, `size` = (width, height) square pixels, in BT.709 SDR.

    pixels: `yuv420p` (limited range), `rgb24`, `bgr24` or `gray` (full range).
    HDR is scaled before it is tone-mapped: a small view then costs little, and memory stays bounded at any size.
    """
    if look.alpha:
        frames = frames.filter("premultiply", inplace=1)
    if look.crop:
        frames = frames.filter("crop", *look.crop, exact=1)
    source = {"in_color_matrix": look.matrix, "in_range": _RANGES[look.range]}
    if look.light != "sdr":
        frames = _to_sdr(frames, look, size, flags)
        source, flags = {"in_color_matrix": "bt709", "in_range": "tv"}, FLAGS
    target = {"out_color_matrix": "bt709", "out_range": "tv" if pixels == "yuv420p" else "pc"}
    shown = frames.filter("scale", *size, flags=flags, **source, **target)
    if pixels == "gray":  # asked for grey, the scaler would weigh colours by BT.601, whatever the matrix
        return shown.filter("format", "yuv420p").filter("extractplanes", "y")
    return shown.filter("format", pixels)


def fragments(frames: Any, size: tuple[int, int], count: int, side: int) -> Any:
    """Frames of `size` = (width, height) as mosaics: of each of count x count cells the middle, side x side."""
    cells = [length // count for length in size]
    corner = [max(0, cell - side - 1) // 2 for cell in cells]
    frames = frames.filter("crop", *(count * cell for cell in cells), 0, 0).filter("untile", f"{count}x{count}")
    return frames.filter("crop", side, side, *corner).filter("tile", f"{count}x{count}")


def tagged(frames: Any) -> Any:
    """The same frames, saying what they are: square pixels, progressive, limited-range BT.709."""
    tags = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": "bt709", "range": "tv"}
    return frames.filter("setsar", "1").filter("setparams", field_mode="prog", **tags)


def _to_sdr(frames: Any, look: Look, size: tuple[int, int], flags: str) -> Any:
    """HDR or wide-gamut frames of any format as limited-range BT.709 4:4:4.

    Linear light in 32-bit floats, BT.709 primaries, then a Mobius curve on the largest of R, G and B, so that
    nothing is clipped at the top. Scaling keeps the signal as it is coded, in 4:4:4, so that odd sizes are possible.
    """
    coded = {"color_primaries": "bt2020", "color_trc": _TRANSFERS[look.light], "colorspace": "gbr", "range": "pc"}
    frames = frames.filter(
        "scale", *size, flags=flags, in_color_matrix=look.matrix, in_range=_RANGES[look.range], out_range="pc"
    )
    frames = frames.filter("format", "gbrp12le").filter("setparams", **coded)
    frames = frames.filter("zscale", transfer="linear", npl=_WHITE_NITS).filter("format", "gbrpf32le")
    frames = frames.filter("zscale", primaries="bt709")
    if look.light != "wide":
        frames = frames.filter("tonemap", "mobius", peak=f"{_PEAK:.4f}", desat=0)
    return frames.filter("zscale", transfer="bt709", matrix="bt709", range="limited").filter("format", "yuv444p")
