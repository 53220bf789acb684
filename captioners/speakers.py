"""Who said which word: words from the transcript, turns from `audio.voices`, joined on their times."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import pyarrow as pa

from captioners.transcribe import transcript

WORDS = pa.list_(
    pa.struct([*transcript.WORDS.value_type, pa.field("speaker", pa.string()), pa.field("overlap", pa.bool_())])
)
"""Words of a transcript, each with who says it (as `audio.voices` names them) and whether another talks as well."""


def attribute(words: Sequence[Mapping[str, Any]], turns: Sequence[Mapping[str, Any]]) -> list[str | None]:
    """The speaker of each word: of the turn that overlaps it most, else of the nearest turn; None without turns.

    words: {word, start_s, end_s}; turns: {speaker, start_s, end_s}, both in seconds of the clip. Of equal turns the
    earlier one wins, so the answer does not depend on the order in which turns are listed.
    """
    ordered = sorted(turns, key=lambda t: (t["start_s"], t["end_s"], t["speaker"]))
    return [max(ordered, key=lambda t: _overlap(word, t))["speaker"] if ordered else None for word in words]


def talked_over(words: Sequence[Mapping[str, Any]], turns: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether, in the middle of each word, another speaker talks as well: there its speaker, and itself, are less sure.

    words, turns: as of `attribute`.
    """
    return [len({turn["speaker"] for turn in turns if _holds(turn, word)}) > 1 for word in words]


def spoken(words: Sequence[Mapping[str, Any]], turns: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The words with `speaker` (S1, S2, ...; None without turns) and `overlap`, see `attribute` and `talked_over`."""
    told = zip(words, attribute(words, turns), talked_over(words, turns))
    return [{**word, "speaker": speaker, "overlap": overlap} for word, speaker, overlap in told]


def _overlap(word: Mapping[str, Any], turn: Mapping[str, Any]) -> float:
    """Seconds in common; where there are none, minus the gap between them."""
    return min(word["end_s"], turn["end_s"]) - max(word["start_s"], turn["start_s"])


def _holds(turn: Mapping[str, Any], word: Mapping[str, Any]) -> bool:
    middle = (word["start_s"] + word["end_s"]) / 2
    return bool(turn["start_s"] <= middle <= turn["end_s"])


def marked_text(
    text: str, words: Sequence[Mapping[str, Any]], turns: Sequence[Mapping[str, Any]], joint: str = " "
) -> str:
    """The transcript with `<S1>`, `<S2>` ... before each change of speaker, numbered as they first speak: as the turns
    of `audio.voices` are named.

    Left as it is (`text`) unless at least two speakers say words. joint: what stands between words in writing.
    """
    told = spoken(words, turns)
    if len({word["speaker"] for word in told}) < 2:
        return text
    ordered = sorted(turns, key=lambda t: (t["start_s"], t["end_s"], t["speaker"]))
    numbers = {name: f"S{n}" for n, name in enumerate(dict.fromkeys(turn["speaker"] for turn in ordered), 1)}
    return marked([{**word, "speaker": numbers[word["speaker"]]} for word in told], joint)


def marked(words: Sequence[Mapping[str, Any]], joint: str = " ") -> str:
    """Words with their speakers, with a mark before each change of speaker; without one for one speaker or none."""
    several = len({word.get("speaker") for word in words}) > 1
    pieces = []
    for speaker, group in groupby(words, key=lambda word: word.get("speaker")):
        said = joint.join(word["word"].strip() for word in group)
        pieces.append(f"<{speaker}> {said}" if several and speaker else said)
    return " ".join(pieces)
