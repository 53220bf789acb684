"""Look: what must be done to a source's stored picture so that it is shown as a viewer would see it.

One short string, carried by every clip, e.g. `frame=720:576;matrix=bt601;field=tff;crop=720:432:0:72`. What is ordinary
(limited-range BT.709, progressive, opaque, no borders) is left out, so an ordinary source has the empty string.
"""

from dataclasses import dataclass, fields

MATRICES = ("bt709", "bt601", "bt2020", "fcc", "smpte240m")
LIGHTS = ("sdr", "wide", "pq", "hlg")
FIELDS = ("", "auto", "tff", "bff")
TURNS = ("", "clock", "cclock", "clock_flip", "cclock_flip", "hflip", "vflip", "half")
ALPHAS = ("", "straight", "libvpx", "libvpx-vp9")


@dataclass(frozen=True)
class Look:
    """How a stored picture is to be understood.

    frame, pixels: (width, height) and pixel format of its decoded frames; when some differ they are made so. None, "":
    unknown, nothing changes.
    turn: how they become upright: ffmpeg's names of transpositions, `hflip`, `vflip`, or `half` a turn.
    matrix: of its YCbCr, as ffmpeg's scale filter names it. range: `limited` or `full`.
    light: `sdr`; `wide` (SDR in BT.2020 primaries); `pq` or `hlg` (HDR, to be tone-mapped).
    field: "" progressive; the field shown first when it is interlaced, or `auto`: as each frame is flagged.
    alpha: "" opaque; `straight`, to be laid on black; a decoder's name where only that one reads the transparency.
    exact: `yes` when its codec defines every bit of a decoded frame, so that a GPU decodes it to the same picture.
    crop: (width, height, x, y) of the picture inside its borders, in stored pixels of the upright frame; or None.
    """

    frame: tuple[int, int] | None = None
    pixels: str = ""
    turn: str = ""
    matrix: str = "bt709"
    range: str = "limited"
    light: str = "sdr"
    field: str = ""
    alpha: str = ""
    exact: str = ""
    crop: tuple[int, int, int, int] | None = None

    def __str__(self) -> str:
        """The canonical text: what differs from the default, in the order of the fields."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {name: value for name, value in values.items() if value != getattr(ORDINARY, name)}
        return ";".join(f"{name}={_text(value)}" for name, value in changed.items())

    @staticmethod
    def parse(text: str) -> "Look":
        """The look that `str` wrote. Raises ValueError on an unknown name or value."""
        values = dict(item.split("=", 1) for item in text.split(";") if item)
        known = all(value in _ALLOWED.get(name, (value,)) for name, value in values.items())
        if not known or not values.get("pixels", "x").isalnum():
            raise ValueError(f"not a look: {text!r}")
        numbers = {name: _numbers(values.pop(name), count) for name, count in _COUNTS.items() if name in values}
        look = Look(**values, **numbers)  # type: ignore[arg-type]
        if str(look) != text:
            raise ValueError(f"not a look: {text!r}")
        return look


_ALLOWED = {
    "turn": TURNS,
    "matrix": MATRICES,
    "range": ("limited", "full"),
    "light": LIGHTS,
    "field": FIELDS,
    "alpha": ALPHAS,
    "exact": ("", "yes"),
}
_COUNTS = {"frame": 2, "crop": 4}
ORDINARY = Look()


def _text(value: object) -> str:
    return ":".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _numbers(text: str, count: int) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(":"))
    if len(numbers) != count:
        raise ValueError(f"not {count} numbers: {text!r}")
    return numbers
