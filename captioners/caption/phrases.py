"""Small pieces of English for the template captions: the same clip always gets the same wording."""

import hashlib
from collections.abc import Sequence


def pick(options: Sequence[str], clip_id: bytes, slot: str) -> str:
    """One of the options, chosen by a hash of the clip and the slot: varied over a dataset, fixed for a clip."""
    digest = hashlib.blake2b(slot.encode() + b"\0" + clip_id, digest_size=8).digest()
    return options[int.from_bytes(digest, "big") % len(options)]


def listing(items: Sequence[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def share(ratio: float) -> str:
    """A share of the clip (0..1) as an adverbial."""
    if ratio >= 0.8:
        return "throughout"
    if ratio >= 0.5:
        return "for most of the clip"
    if ratio >= 0.2:
        return "for part of the clip"
    return "briefly"


def sentence(text: str) -> str:
    """With a capital first letter and a full stop."""
    return text[:1].upper() + text[1:].rstrip(".") + "."
