"""A caption of the sound put together from what was measured. No model writes it, and it says nothing else."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from captioners.caption import audio_phrases as say
from captioners.caption.columns import COLUMNS
from captioners.caption.phrases import listing
from captioners.caption.template import Said, row
from media.clip import Clip
from media.stage import Facts
from media.views import View, Views


class AudioTemplate:
    """`caption.audio_template`: voices and where they are, their language, music, tagged sounds with times, loudness,
    silence, and what a named model estimates of the speakers; NULL when nothing was measured."""

    NAME = "caption.audio_template"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = COLUMNS
    VIEWS: tuple[View, ...] = ()
    INPUTS: tuple[str, ...] = (
        "audio.classes",
        "audio.loudness",
        "audio.silence",
        "audio.voices",
        "audio.language",
        "sync.lips",
        "attributes.speakers",
    )
    BACKEND = "template"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The caption of one clip from its facts; it looks at no samples."""
        return row(statements(clip.clip_id, facts, clip.duration_s), short(clip.clip_id, facts))


def statements(clip_id: bytes, facts: Facts, duration_s: float) -> list[Said]:
    """One statement a fact, the most telling first."""
    classes = facts.get("audio.classes", {})
    lufs = facts.get("audio.loudness", {}).get("lufs")
    if nothing := say.silent(clip_id, lufs):
        return [Said("loudness", nothing)]
    return [
        Said("voices", say.voices(clip_id, facts)),
        Said("place", say.place(clip_id, facts)),
        Said("speakers", say.guesses(facts)),
        Said("music", say.music(clip_id, classes)),
        Said("sounds", say.sounds(clip_id, classes, duration_s), say.timed_list(classes)),
        Said("loudness", say.loudness(clip_id, lufs)),
        Said("silence", say.pauses(clip_id, facts.get("audio.silence", {}).get("energy_silence_ratio"))),
    ]


def short(clip_id: bytes, facts: Facts) -> str:
    """One clause: who is heard, with what else; or what is."""
    classes = facts.get("audio.classes", {})
    if nothing := say.silent(clip_id, facts.get("audio.loudness", {}).get("lufs")):
        return nothing
    others = [*(["music"] if say.music(clip_id, classes) else []), *say.named(classes)[0][:2]]
    if who := say.who(clip_id, facts):
        return f"{who}, with {listing(others)}" if others else who
    return f"{listing(others)} can be heard" if others else ""


STAGE = AudioTemplate
