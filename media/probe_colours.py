"""What a stream's first frame and headers say of its colours, fields and transparency. Used in the probing child."""

import struct
from typing import Any

from media import colours

_UNSAID = 2  # H.273's "unspecified"
_FIELD_ORDERS = {2: "tt", 3: "bb", 4: "tb", 5: "bt"}  # ffmpeg's AVFieldOrder
_LIGHT_DATA = frozenset({"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"})
_TURNS = {
    (-1, 0, 0, 1): "hflip", (1, 0, 0, -1): "vflip", (-1, 0, 0, -1): "half", (0, 1, -1, 0): "clock",
    (0, -1, 1, 0): "cclock", (0, 1, 1, 0): "cclock_flip", (0, -1, -1, 0): "clock_flip",
}  # fmt: skip
_WEBM_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_FALSE_ALPHA = frozenset({"rawvideo"})  # 32-bit AVI: the fourth byte is padding, mostly zero


def colour_row(video: Any, frame: Any) -> dict[str, Any]:
    """bits, matrix, transfer, primaries, colour_range, field_order, alpha, turn: fields of `media.probe.VideoTrack`."""
    codec, shape = video.codec_context, frame.format
    return {
        "bits": max(part.bits for part in shape.components),
        "matrix": "gbr" if _is_rgb(shape) else _name(colours.MATRICES, frame.colorspace, codec.colorspace),
        "transfer": _transfer(codec, frame),
        "primaries": _name(colours.PRIMARIES, frame.color_primaries, codec.color_primaries),
        "colour_range": _range(codec, frame),
        "field_order": _field_order(codec, frame),
        "alpha": _alpha(video, shape),
        "turn": _turn(frame),
    }


def _name(names: dict[int, str], *codes: int) -> str:
    """The first code that says something: the frame's own, then its container's."""
    said = next((int(code) for code in codes if int(code) != _UNSAID), _UNSAID)
    return names.get(said, colours.UNKNOWN)


def _is_rgb(shape: Any) -> bool:
    return bool(shape.is_rgb or shape.has_palette)


def _transfer(codec: Any, frame: Any) -> str:
    """HDR10 files that lost their tags still carry the data of their mastering display."""
    named = _name(colours.TRANSFERS, frame.color_trc, codec.color_trc)
    mastered = any(getattr(data.type, "name", "") in _LIGHT_DATA for data in frame.side_data)
    return "smpte2084" if named == colours.UNKNOWN and mastered else named


def _range(codec: Any, frame: Any) -> str:
    shape = frame.format
    if _is_rgb(shape) or shape.name.startswith("yuvj"):
        return "full"
    said = colours.RANGES.get(int(frame.color_range)) or colours.RANGES.get(int(codec.color_range))
    grey = shape.name.startswith(("gray", "ya", "mono"))
    return said or ("full" if grey else colours.UNKNOWN)


def _field_order(codec: Any, frame: Any) -> str:
    """Some decoders flag each frame, some containers flag the stream; either is a word."""
    return _FIELD_ORDERS.get(codec.field_order, "interlaced" if frame.interlaced_frame else "progressive")


def _turn(frame: Any) -> str:
    """A display matrix says where x and y go, in 16.16 fixed point; other angles than right ones are left alone."""
    matrix = next((data for data in frame.side_data if getattr(data.type, "name", "") == "DISPLAYMATRIX"), None)
    if matrix is None:
        return ""
    numbers = struct.unpack("=5i", bytes(matrix)[:20])
    return _TURNS.get(tuple(round(numbers[i] / 65536) for i in (0, 1, 3, 4)), "")


def _alpha(video: Any, shape: Any) -> str:
    name = video.codec_context.name
    if video.metadata.get("alpha_mode") == "1" and name in _WEBM_DECODERS:
        return _WEBM_DECODERS[name]
    clear = any(part.is_alpha for part in shape.components) and not shape.has_palette
    return "straight" if clear and name not in _FALSE_ALPHA else ""
