"""What a caption claims, found by its words: that somebody speaks, sounds by name, and that it refuses to caption."""

import re
from functools import lru_cache

from media.audioset import labels

_DENIED = re.compile(r"\b(?:no|nobody|no one|without|neither|nor|never|not|lacks?|silent)\b[^.,;:]*", re.IGNORECASE)
_SPEECH = re.compile(
    r"\b(?:speaks?|speaking|speech|spoken|talks?|talking|says?|saying|narrat\w+|dialogue|conversation|sings?|singing)\b",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:sorry|unable|not able)|i (?:cannot|can't|can not|do not|don't) (?:\w+ )?"
    r"(?:assist|help|provide|describe|view|see|hear|access|process|have|generate|identify|comply|answer)"
    r"|as an ai\b|(?:as a|large) language model|unable to (?:view|see|hear|process|analy[sz]e|provide)"
    r"|against my (?:guidelines|policy))",
    re.IGNORECASE,
)
GENERIC = {
    "speech", "music", "silence", "singing", "song", "animal", "vehicle", "noise", "sound effect", "echo", "hum",
    "ring", "tap", "run", "whistling", "wind", "rain", "field recording", "outside", "inside", "tools", "bell",
    "crowd", "train", "television", "radio", "video game music", "domestic animals", "pets", "fly", "chop", "fill",
    "pour", "crack", "roll", "light engine", "boat", "water vehicle", "car", "bus", "truck", "stream", "river",
    "fire", "ocean", "tick", "mouse", "bird", "fowl", "duck", "snake", "frog", "cricket", "insect", "horse", "sheep",
    "goat", "pig", "cattle", "plop", "splash", "door", "drawer", "cupboard", "typing", "clock", "camera",
    "plucked string instrument", "bass", "drum", "pulse", "static", "click", "zing", "boom", "bang", "slap", "smash",
    "whip", "flap", "scratch", "scrape", "rub",
}  # fmt: skip
"""Names of classes that are also words for what is seen, or for any sound: naming them claims no sound of its own."""


def says_speech(caption: str) -> bool:
    """Whether the caption says that somebody speaks or sings: not in a clause that denies something."""
    return _SPEECH.search(_DENIED.sub("", caption)) is not None


def refuses(caption: str) -> bool:
    """Whether it is a model's excuse, e.g. "I cannot assist with that", and not a caption."""
    return _REFUSAL.search(caption) is not None


def sounds(caption: str) -> list[str]:
    """AudioSet's names of sounds, lower case, that the caption uses as whole words, not in clauses that deny something;
    of two that overlap the longer one. In alphabetical order."""
    found = {match.lower() for match in _names().findall(_DENIED.sub("", caption))}
    return sorted(found)


@lru_cache(maxsize=1)
def _names() -> re.Pattern[str]:
    names = sorted(
        {alias for label in labels() for alias in aliases(label)} - GENERIC, key=lambda name: (-len(name), name)
    )
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b", re.IGNORECASE)


def aliases(label: str) -> list[str]:
    """The names in a label, lower case: "Vehicle horn, car horn, honking" has three; what is in brackets is none."""
    return [name.strip() for name in re.sub(r"\(.*?\)", "", label.lower()).split(",") if name.strip()]
