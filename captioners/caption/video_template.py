"""A caption of the picture put together from what was measured. No model writes it, and it names no objects."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from captioners.caption.audio_template import COLUMNS, row
from captioners.caption.phrases import listing, pick
from media.clip import Clip
from media.stage import Facts, Row
from media.views import View, Views

GREYS = {"black", "grey", "white"}
COLOURLESS = 8.0  # Hasler and Suesstrunk: 0 grey, 15 slight; compression leaves a few units on black-and-white film


class VideoTemplate:
    """`caption.video_template`: light, colours, motion, sharpness, frame; NULL when nothing was measured."""

    NAME = "caption.video_template"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = COLUMNS
    VIEWS: tuple[View, ...] = ()
    INPUTS: tuple[str, ...] = ("video.technical", "video.motion", "video.stills")
    BACKEND = "template"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The caption of one clip from its facts; it looks at no frames."""
        stills, motion = facts.get("video.stills", {}), facts.get("video.motion", {})
        technical = facts.get("video.technical", {})
        return row(
            [
                _look(clip.clip_id, stills),
                _movement(clip.clip_id, motion),
                _sharpness(clip.clip_id, stills.get("sharpness")),
                _frame(clip.clip_id, technical),
            ]
        )


def _look(clip_id: bytes, stills: Row) -> str:
    """Light, colourfulness and the main colours in one noun phrase."""
    colours = list(stills.get("colours") or [])
    colourful = stills.get("colourfulness")
    grey = colourful is not None and colourful < COLOURLESS
    words = [_light(stills.get("luma_mean")), _contrast(stills.get("luma_std")), _palette(colourful)]
    words = [w for w in words if w]
    if not words and not colours:
        return ""
    noun = pick(["picture", "scene", "shot"], clip_id, "noun")
    phrase = f"{_article(words[0] if words else noun)} {', '.join(words)} {noun}".replace("  ", " ")
    named = [c for c in colours if c not in GREYS] if not grey else []
    if not named:
        return phrase
    return f"{phrase} {pick(['with', 'dominated by', 'mostly in'], clip_id, 'colour')} {listing(colours)}"


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def _light(mean: float | None) -> str:
    if mean is None:
        return ""
    return "dark" if mean < 60 else "dim" if mean < 90 else "bright" if mean > 165 else "evenly lit"


def _contrast(std: float | None) -> str:
    if std is None:
        return ""
    return "low-contrast" if std < 30 else "high-contrast" if std > 75 else ""


def _palette(colourfulness: float | None) -> str:
    if colourfulness is None:
        return ""
    if colourfulness < COLOURLESS:
        return "black-and-white"
    return "muted" if colourfulness < 20 else "vividly coloured" if colourfulness > 60 else ""


def _movement(clip_id: bytes, motion: Row) -> str:
    """Mean flow in px/frame at 256 wide and 25 fps: a talking head has 0.3, tennis 0.5, a pan several."""
    speed, still = motion.get("motion_px"), motion.get("static_ratio")
    if speed is None:
        return ""
    if still is not None and still >= 0.95:
        return pick(["nothing moves", "the picture stands still"], clip_id, "still")
    for bound, options in (
        (0.15, ["there is hardly any movement", "it barely moves"]),
        (0.6, ["there is gentle movement", "it moves gently"]),
        (2.0, ["there is steady movement", "it moves steadily"]),
    ):
        if speed < bound:
            return pick(options, clip_id, "move")
    return pick(["there is fast movement", "much of the picture moves fast"], clip_id, "move")


def _sharpness(clip_id: bytes, sharpness: float | None) -> str:
    """Variance of the Laplacian at a short side of 360 px; between the bounds nothing is said."""
    if sharpness is None or 60 <= sharpness < 800:
        return ""
    options = ["it looks soft", "the image is soft"] if sharpness < 60 else ["it is rich in fine detail", "it is crisp"]
    return pick(options, clip_id, "sharp")


def _frame(clip_id: bytes, technical: Row) -> str:
    width, height = technical.get("width"), technical.get("height")
    if not width or not height:
        return ""
    ratio = width / height
    shape = "tall" if ratio < 0.9 else "square" if ratio < 1.15 else "4:3" if ratio < 1.45 else "wide"
    size = (
        "high-definition"
        if min(width, height) >= 720
        else "standard-definition"
        if min(width, height) >= 480
        else "small"
    )
    return f"{pick(['the frame is', 'it is framed'], clip_id, 'frame')} {shape} and {size}"


STAGE = VideoTemplate
