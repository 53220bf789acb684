"""Word and character error rates: (substitutions + insertions + deletions) / length of the reference.

Both are of the normalised form of a text, which exists only here: transcripts keep their punctuation and case.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby

_NAMES = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety"""
_ONES, _TENS = _NAMES.split()[:20], _NAMES.split()[20:]


def number_words(number: int) -> list[str]:
    """0..999,999 in English words, e.g. 142 -> one hundred forty two; a larger number digit by digit."""
    if number < 20:
        return [_ONES[number]]
    if number < 100:
        ones = number % 10
        return [_TENS[number // 10 - 2], *(_ONES[ones : ones + 1] if ones else [])]
    if number >= 1_000_000:
        return [_ONES[int(digit)] for digit in str(number)]
    name, unit = ("hundred", 100) if number < 1000 else ("thousand", 1000)
    rest = number_words(number % unit) if number % unit else []
    return [*number_words(number // unit), name, *rest]


def normalise(text: str) -> list[str]:
    """Lower-case words without punctuation, numbers spelled out in English, letters and digits parted ("F2" -> f two).

    Letters of any script, with their combining marks, in Unicode's compatible form.
    """
    flat = unicodedata.normalize("NFKC", text.lower()).replace("’", "").replace("'", "")
    flat = re.sub(r"(?<=\d),(?=\d{3})", "", flat)
    tokens = ["".join(run) for kind, run in groupby(flat, _kind) if kind]
    return [word for token in tokens for word in (number_words(int(token)) if token.isdecimal() else [token])]


def _kind(letter: str) -> str:
    """Digit, letter (or a mark on one), or "" for what parts words."""
    if letter.isdecimal():
        return "digit"
    return "letter" if letter.isalpha() or unicodedata.category(letter).startswith("M") else ""


def letters(text: str) -> str:
    """The normalised words run together: where a script or a model parts words is no error."""
    return "".join(normalise(text))


def edits(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Levenshtein distance between two sequences (Wagner and Fischer 1974), of words or of letters."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(reference, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            cost = min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
            diagonal, row[j] = row[j], cost
    return row[-1]


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """WER over (reference, heard) pairs, errors and words summed before dividing.

    Raises ValueError when the references hold no word: the rate is undefined then.
    """
    return _rate([(normalise(reference), normalise(heard)) for reference, heard in pairs])


def character_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """CER over (reference, heard) pairs, of letters without spaces; else as `word_error_rate`."""
    return _rate([(letters(reference), letters(heard)) for reference, heard in pairs])


def disagreement(one: str, other: str) -> float:
    """How far two transcripts are apart, the same both ways: letters to be edited over the longer's, in [0, 1]."""
    a, b = letters(one), letters(other)
    return edits(a, b) / max(len(a), len(b)) if a or b else 0.0


def _rate(pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> float:
    length = sum(len(reference) for reference, _ in pairs)
    if length == 0:
        raise ValueError("an error rate needs a reference that holds words")
    return sum(edits(reference, heard) for reference, heard in pairs) / length
