"""A caption of the picture put together from what was measured. No model writes it, and it names no objects."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from captioners.caption import video_phrases as say
from captioners.caption.columns import COLUMNS
from captioners.caption.phrases import counted, listing
from captioners.caption.template import Said, row
from media.clip import Clip
from media.stage import Facts
from media.views import View, Views


class VideoTemplate:
    """`caption.video_template`: light, colours, faces and whether they speak, motion of subject and camera, text on
    screen, cuts, sharpness, frame; NULL when nothing was measured."""

    NAME = "caption.video_template"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = COLUMNS
    VIEWS: tuple[View, ...] = ()
    INPUTS: tuple[str, ...] = (
        "video.technical",
        "video.motion",
        "video.stills",
        "video.faces",
        "video.text",
        "video.edits",
        "sync.lips",
    )
    BACKEND = "template"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The caption of one clip from its facts; it looks at no frames."""
        return row(statements(clip.clip_id, facts), short(clip.clip_id, facts))


def statements(clip_id: bytes, facts: Facts) -> list[Said]:
    """One statement a fact, the most telling first."""
    stills, motion = facts.get("video.stills", {}), facts.get("video.motion", {})
    read = facts.get("video.text", {})
    return [
        Said("look", f"{say.look(clip_id, stills)} {say.colours(clip_id, stills)}".strip()),
        Said("faces", say.faces(clip_id, facts)),
        Said("talking", say.talking(clip_id, facts)),
        Said("movement", say.movement(clip_id, motion)),
        Said("camera", say.camera(clip_id, motion)),
        Said("text", say.text(clip_id, read), say.readable(read)),
        Said("edits", say.edits(clip_id, facts.get("video.edits", {}))),
        Said("sharpness", say.sharpness(clip_id, stills.get("sharpness"))),
        Said("frame", say.frame(clip_id, facts.get("video.technical", {}))),
    ]


def short(clip_id: bytes, facts: Facts) -> str:
    """One phrase: the look, and what is in it."""
    look, faces = say.look(clip_id, facts.get("video.stills", {})), facts.get("video.faces", {})
    pace = say.pace(facts.get("video.motion", {}))
    held = [counted(faces["faces"], "face", "faces")] if say.faces(clip_id, facts) else []
    held += [f"{pace} movement"] if pace else []
    return " with ".join(filter(None, [look or "a picture" * bool(held), listing(held)]))


STAGE = VideoTemplate
