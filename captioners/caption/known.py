"""What other stages found, told to a captioning model: the transcript, the speakers, the tagged sounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from media.stage import Facts, Row

Fact = Literal["transcript", "speakers", "tags"]
SURE = 0.3
"""Score from which a tag is told."""


def inputs(wanted: Sequence[Fact], transcript_from: str) -> tuple[str, ...]:
    """The stages whose columns are read for these facts."""
    found = {"transcript": transcript_from, "speakers": "audio.voices", "tags": "audio.classes"}
    return tuple(found[name] for name in wanted)


def told(facts: Facts, wanted: Sequence[Fact], transcript_from: str) -> str:
    """A paragraph of what is known of the clip; "" when nothing is."""
    stages = inputs(wanted, transcript_from)
    lines = [line for name, stage in zip(wanted, stages) if (line := _LINES[name](facts.get(stage, {})))]
    if not lines:
        return ""
    return "\n".join(["Programs found this in the clip; they may be wrong, so trust your own senses first:", *lines])


def _transcript(row: Row) -> str:
    return f'- Words that are heard: "{row["text"]}"' if row.get("text") else ""


def _speakers(row: Row) -> str:
    count = row.get("speakers")
    return f"- Voices that are told apart: {count}" if count else ""


def _tags(row: Row) -> str:
    sure = [tag["label"] for tag in row.get("tags") or [] if tag["score"] >= SURE]
    return f"- Sounds, by a tagger: {'; '.join(sure)}" if sure else ""


_LINES: Mapping[Fact, Callable[[Row], str]] = {"transcript": _transcript, "speakers": _speakers, "tags": _tags}
