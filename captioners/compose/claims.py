"""What a caption claims, found by its words: sounds by name; and whether it refuses to caption."""

import re
from functools import lru_cache

from captioners.compose.asserted import asserted, unquoted
from captioners.compose.word_stems import Stems, stems
from media.audioset import labels

_MEDIA = r"(?:audio|video|image|file|clip|recording|media|frame|picture|link|attachment|transcript|footage)s?"
_ABLE = (
    "assist|help|provide|describe|view|see|hear|access|process|have|generate|identify|comply|answer|watch|listen"
    "|fulfill?|analy[sz]e|open|play|caption|transcribe|determine|continue|complete|directly|actually"
)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am| was) (?:(?:so|very|really|truly) )?(?:sorry|unable|not able)|i apologi[sz]e\b|i must decline"
    rf"|i (?:cannot|can't|can not|could not|couldn't|do not|don't|won't|will not) (?:\w+ )?(?:{_ABLE})\b"
    r"|as an ai(?: (?:language )?(?:model|assistant|system)|,)|as a (?:large )?language model|large language model"
    r"|against my (?:guidelines|policy|policies|programming)"
    rf"|(?:please|kindly) (?:provide|upload|share|attach|send|supply)(?: \w+){{0,4}}? {_MEDIA}"
    rf"|no (?:\w+ )?{_MEDIA}(?: \w+)?(?: (?:is|was|were|are|ha(?:s|ve) been))? (?:provided|attached|uploaded|supplied)"
    rf"|{_MEDIA} (?:is|was|were|has|have) not (?:been )?(?:provided|attached|uploaded|supplied)"
    r"|you (?:have not|haven't|did not|didn't) (?:provided?|attach(?:ed)?|upload(?:ed)?|shared?))"
    r"|(?:^|[.!?]\s+)(?:unable to (?:view|see|hear|process|analy[sz]e|provide)|sorry\b|my apologies)",
    re.IGNORECASE,
)
_REPORTED = re.compile(
    r"\b(?:says?|saying|said|asks?|repl(?:y|ies|ied)|sings?|singing|repeats?)[,:]?\s+(?:that\s+)?i\b[^.!?]*",
    re.IGNORECASE,
)
GENERIC = {
    "speech", "music", "silence", "singing", "song", "animal", "vehicle", "noise", "sound effect", "echo", "hum",
    "ring", "tap", "run", "wind", "rain", "field recording", "outside", "inside", "tools", "bell",
    "crowd", "train", "television", "radio", "video game music", "domestic animals", "pets", "fly", "chop", "fill",
    "pour", "crack", "roll", "light engine", "boat", "water vehicle", "car", "bus", "truck", "stream", "river",
    "fire", "ocean", "tick", "mouse", "bird", "fowl", "duck", "snake", "frog", "cricket", "insect", "horse", "sheep",
    "goat", "pig", "cattle", "plop", "splash", "door", "drawer", "cupboard", "typing", "clock", "camera",
    "plucked string instrument", "bass", "drum", "pulse", "static", "click", "zing", "boom", "bang", "slap", "smash",
    "whip", "flap", "scratch", "scrape", "rub", "biting", "blues", "breaking", "bouncing",
    "crushing", "tearing", "filing", "sanding", "sawing", "writing", "accelerating", "stir", "spray", "pant",
    "hands", "walk", "glass", "water", "waterfall", "waves", "wood", "country", "arrow", "gears", "steam", "liquid",
    "pop", "burst", "surf", "underground", "small room", "large room or hall", "public space", "urban or manmade",
    "rural or natural", "chicken", "turkey", "bathtub", "sink", "toothbrush", "scissors", "coin", "dishes", "cutlery",
    "silverware", "bicycle", "motorcycle", "canoe", "kayak", "rowboat", "sailboat", "ship", "skateboard", "telephone",
    "keyboard", "computer keyboard", "pulleys", "propeller", "mechanisms", "livestock", "pots", "zipper", "printer",
    "etc.", "brass instrument", "musical instrument", "farm animals", "wild animals", "working animals", "aircraft",
}  # fmt: skip
"""Names of classes that are also words for what is seen, or for any sound: naming them claims no sound of its own."""


def refuses(caption: str) -> bool:
    """Whether it is a model's excuse, e.g. "I cannot assist with that", and not a caption that quotes somebody's."""
    return _REFUSAL.search(_REPORTED.sub(" ", unquoted(caption))) is not None


def sounds(caption: str) -> list[str]:
    """AudioSet's names of sounds, lower case, that the caption asserts, inflected or not ("laughs": laughter); of two
    that overlap the longer one. In alphabetical order."""
    said, names = stems(asserted(caption)), _names()
    longest, found, at = max(map(len, names)), set(), 0
    while at < len(said):
        size = next((n for n in range(longest, 0, -1) if said[at : at + n] in names), 0)
        found |= {names[said[at : at + size]]} if size else set()
        at += size or 1
    return sorted(found)


@lru_cache(maxsize=1)
def _names() -> dict[Stems, str]:
    """Name of each sound by its stems; of names with the same stems ("honk", "honking") the shortest."""
    names = sorted({alias for label in labels() for alias in aliases(label)}, key=lambda name: (-len(name), name))
    generic = {stems(name) for name in GENERIC}
    return {stems(name): name for name in names if stems(name) not in generic}


def aliases(label: str) -> list[str]:
    """The names in a label, lower case: "Vehicle horn, car horn, honking" has three; what is in brackets is none."""
    return [name.strip() for name in re.sub(r"\(.*?\)", "", label.lower()).split(",") if name.strip()]
