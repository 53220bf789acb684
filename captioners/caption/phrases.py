"""Small pieces of English for the template captions: the same clip always gets the same wording."""

import hashlib
from collections.abc import Sequence

NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
LANGUAGES = {
    "ar": "Arabic", "bn": "Bengali", "cs": "Czech", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "es": "Spanish", "fa": "Persian", "fi": "Finnish", "fr": "French", "he": "Hebrew", "hi": "Hindi", "hu": "Hungarian",
    "id": "Indonesian", "it": "Italian", "ja": "Japanese", "ko": "Korean", "ms": "Malay", "nl": "Dutch",
    "no": "Norwegian", "pl": "Polish", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "sv": "Swedish",
    "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai", "tl": "Tagalog", "tr": "Turkish", "uk": "Ukrainian",
    "ur": "Urdu", "vi": "Vietnamese", "yue": "Cantonese", "zh": "Chinese",
}  # fmt: skip


def pick(options: Sequence[str], clip_id: bytes, slot: str) -> str:
    """One of the options, chosen by a hash of the clip and the slot: varied over a dataset, fixed for a clip."""
    digest = hashlib.blake2b(slot.encode() + b"\0" + clip_id, digest_size=8).digest()
    return options[int.from_bytes(digest, "big") % len(options)]


def listing(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def counted(number: int, one: str, many: str) -> str:
    """ "one face", "three faces", "many faces"."""
    word = NUMBERS[number] if number < len(NUMBERS) else "many"
    return f"{word} {one if number == 1 else many}"


def article(words: str) -> str:
    """With "a" or "an" in front."""
    return f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


def share(ratio: float) -> str:
    """A share of the clip (0..1) as an adverbial."""
    if ratio >= 0.8:
        return "throughout"
    if ratio >= 0.5:
        return "for most of the clip"
    if ratio >= 0.2:
        return "for part of the clip"
    return "briefly"


def when(spans: Sequence[tuple[float, float]], duration_s: float) -> str:
    """Spans of a clip as an adverbial, e.g. "at 1.2 s and 3.0 s", "from 2.0 to 4.5 s", "throughout"."""
    covered = sum(end - start for start, end in spans)
    if covered >= 0.8 * duration_s:
        return "throughout"
    if len(spans) > 3:
        return f"{NUMBERS[len(spans)] if len(spans) < len(NUMBERS) else 'many'} times"
    if all(end - start < 1.2 for start, end in spans):
        return f"at {listing([f'{start:.1f} s' for start, _ in spans])}"
    return f"from {listing([f'{start:.1f} to {end:.1f} s' for start, end in spans])}"


def sentence(text: str) -> str:
    """With a capital first letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
