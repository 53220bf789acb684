"""Word error rate: (substitutions + insertions + deletions) / reference words, after a small normalisation."""

import re
from collections.abc import Iterable, Sequence

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
    """Lower-case words without punctuation, numbers spelled out, letters and digits parted ("F2" -> f two)."""
    flat = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower().replace("’", "'"))
    flat = re.sub(r"'", "", flat)
    tokens = re.findall(r"\d+|[^\W\d_]+", flat)
    return [word for token in tokens for word in (number_words(int(token)) if token.isdigit() else [token])]


def edits(reference: Sequence[str], heard: Sequence[str]) -> int:
    """Levenshtein distance between two word sequences (Wagner and Fischer 1974), in words."""
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
    errors = words = 0
    for reference, heard in pairs:
        truth = normalise(reference)
        errors += edits(truth, normalise(heard))
        words += len(truth)
    if words == 0:
        raise ValueError("word error rate needs at least one reference word")
    return errors / words
