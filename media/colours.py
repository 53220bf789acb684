"""How colours are coded: the numbers of ITU-T H.273 by name, and the look that a source's tags amount to."""

import re

from media.look import Look

TRANSFERS = {
    1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
MATRICES = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc",
    10: "bt2020c", 11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2",
    16: "ycgco-re", 17: "ycgco-ro",
}  # fmt: skip
RANGES = {1: "limited", 2: "full"}
UNKNOWN = "unknown"

_PLAIN = re.compile(r"(yuva?4(20|22|44)p|gbra?p|gray)((9|10|12|14|16)le)?|nv12|yuv4(10|11|40)p|(rgb|bgr)24|[argb0]{4}")
_SCALE_NAMES = {"bt470bg": "bt601", "smpte170m": "bt601", "bt2020nc": "bt2020", "bt2020c": "bt2020"}
_READABLE = frozenset({"bt709", "bt601", "bt2020", "fcc", "smpte240m", "gbr", UNKNOWN})
_LIGHTS = {"smpte2084": "pq", "arib-std-b67": "hlg"}
_HD_WIDTH, _SD_HEIGHT = 1280, 576


def working(pixels: str, bits: int, matrix: str, alpha: str) -> str:
    """The pixel format to work in, for frames decoded as `pixels`: the same one, or a wider one that filters know."""
    if alpha.startswith("libvpx"):
        return "yuva420p"  # as that decoder gives it; the one that probes leaves the transparency out
    pixels = pixels.replace("yuvj", "yuv")
    if _PLAIN.fullmatch(pixels):
        return pixels
    planes = ("gbr" if matrix == "gbr" else "yuv", "a" if alpha else "", "p" if matrix == "gbr" else "444p")
    return "".join(planes) + ("" if bits <= 8 else "12le")


def look_of(matrix: str, transfer: str, primaries: str, colour_range: str, size: tuple[int, int]) -> Look:
    """The look of a source with these tags (names of this file; `unknown` where there is none).

    size: (width, height) of its frames. Untagged YCbCr counts as BT.601 up to PAL size and as BT.709 above, as
    players do.
    Raises ValueError for a matrix that would come out in false colours (YCgCo, ICtCp, Dolby's IPT).
    """
    light = _LIGHTS.get(transfer, "wide" if primaries == "bt2020" else "sdr")
    matrix = _SCALE_NAMES.get(matrix, matrix)
    if matrix not in _READABLE:
        raise ValueError(f"colours coded as {matrix} cannot be shown rightly")
    if matrix == UNKNOWN:
        small = size[0] < _HD_WIDTH and size[1] <= _SD_HEIGHT
        matrix = "bt2020" if light != "sdr" else "bt601" if small else "bt709"
    return Look(
        frame=size,
        matrix="bt709" if matrix == "gbr" else matrix,
        range="full" if colour_range == "full" else "limited",
        light=light,
    )
