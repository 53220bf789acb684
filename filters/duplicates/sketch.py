"""Sketches: the few words of a clip under which a near-duplicate search files it, chosen alike in every copy.

Of all words those with the smallest hashes are taken (bottom-k, Broder 1997): which ones does not depend on where the
clip starts, so two clips that share most of their words share some of their sketches.
"""

import numpy as np

from filters.duplicates import picture_words, sound_words

KEY_BITS = 24
"""Leading bits of a picture word that must agree for two clips to meet in a band."""
PICTURE_TURNS = (0, 20)
"""Each picture band looks at the words turned left by so many bits: errors in one band's key spare the other's."""
PICTURE_KEYS = 8
SOUND_KEYS = 16
_MIX = np.uint64(0x9E3779B97F4A7C15)


def picture_sketch(words: np.ndarray, turn: int) -> np.ndarray:
    """At most 8 of the words (n,) uint64, turned left by `turn` bits: one for each key of the smallest hashes."""
    known = np.unique(words[words > 0])
    bits = np.uint64(picture_words.BITS)
    turned = np.sort((known << np.uint64(turn)) | (known >> (bits - np.uint64(turn)))) if turn else known
    keys, first = np.unique(turned >> (bits - np.uint64(KEY_BITS)), return_index=True)
    return turned[first[smallest(keys, PICTURE_KEYS)]]


def sound_sketch(words: np.ndarray) -> np.ndarray:
    """At most 16 of the words (n,) uint32, those of the smallest hashes."""
    known = np.unique(words[words > 0])
    return known[smallest(known.astype(np.uint64), SOUND_KEYS)]


def smallest(keys: np.ndarray, count: int) -> np.ndarray:
    """Positions of the `count` distinct uint64 keys with the smallest hashes, in order of position."""
    hashed = keys * _MIX
    hashed ^= hashed >> np.uint64(29)
    return np.sort(np.argsort(hashed * _MIX, kind="stable")[:count])


assert KEY_BITS <= picture_words.BITS and sound_words.BITS == 32
