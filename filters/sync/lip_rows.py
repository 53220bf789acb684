"""What `sync.lips` tells of each face and of each turn of speech, and where the voices are."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from filters.sync.active_speaker import OFF, ON, OPEN, Answer, Face, moves
from filters.sync.lip_match import Match

FACES = pa.list_(
    pa.struct(
        [
            ("track", pa.string()),
            ("voice", pa.string()),
            ("correlation", pa.float64()),
            ("offset_s", pa.float64()),
            ("chance", pa.float64()),
            ("lips_move", pa.bool_()),
            ("speaks_ratio", pa.float64()),
        ]
    )
)
"""Of each face whose lips are seen. correlation, offset_s, chance: as of the clip, with all speech. voice: the voice of
`turns` that is its own, NULL for none. speaks_ratio: share of the spoken time in which it does."""
TURNS = pa.list_(
    pa.struct(
        [
            ("voice", pa.string()),
            ("start_s", pa.float64()),
            ("end_s", pa.float64()),
            ("place", pa.string()),
            ("track", pa.string()),
            ("confidence", pa.float64()),
        ]
    )
)
"""Of each turn of speech: place as `voice_place` has it, the face it belongs to; confidence: 1 - the chance of that
match (1 off screen, where nothing was matched), NULL when unsure."""
MOSTLY = 0.8
"""Share of the spoken time from which a clip's voices are in one place."""


def face_rows(
    faces: Sequence[Face], matches: Mapping[str, Match | None], answers: Sequence[Answer]
) -> list[dict[str, Any]]:
    """`FACES` of a clip."""
    spoken = np.any([answer.voice.heard for answer in answers], axis=0)
    return [_face(face, matches[face.track], answers, spoken) for face in faces if face.seen]


def _face(face: Face, found: Match | None, answers: Sequence[Answer], spoken: np.ndarray) -> dict[str, Any]:
    mine = [answer for answer in answers if answer.face is face]
    speaks = np.any([answer.on for answer in mine], axis=0) if mine else np.zeros_like(spoken)
    return {
        **{"track": face.track, "voice": mine[0].voice.name if mine else None},
        "correlation": found and found.correlation,
        "offset_s": found and found.offset_s,
        "chance": found and found.chance,
        **{"lips_move": moves(face, spoken), "speaks_ratio": share(speaks, spoken)},
    }


def turn_rows(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """`TURNS` of a clip, in order of time."""
    rows = [_turn(answer, span) for answer in answers for span in answer.voice.turns]
    return sorted(rows, key=lambda row: (row["start_s"], row["voice"]))


def _turn(answer: Answer, span: tuple[float, float]) -> dict[str, Any]:
    place = answer.place(span)
    on = place == ON and answer.face and answer.match
    return {
        **{"voice": answer.voice.name, "start_s": span[0], "end_s": span[1], "place": place},
        "track": answer.face.track if on and answer.face else None,
        "confidence": {ON: 1 - answer.match.chance if answer.match else None, OFF: 1.0, OPEN: None}[place],
    }


def places(answers: Sequence[Answer]) -> dict[str, Any]:
    """The columns about where the voices are."""
    spoken = np.any([answer.voice.heard for answer in answers], axis=0)
    on, off = (np.any([getattr(answer, name) for answer in answers], axis=0) for name in ("on", "off"))
    on_share, off_share = share(on, spoken), share(off & ~on, spoken)
    told = on_share + off_share
    place = ON if on_share >= MOSTLY else OFF if off_share >= MOSTLY else "mixed" if told >= MOSTLY else OPEN
    sure = min((1 - answer.match.chance for answer in answers if answer.match), default=1.0)
    return {
        **{"on_screen_ratio": on_share, "off_screen_ratio": off_share},
        **{"voice_place": place, "place_confidence": told * sure},
    }


def share(part: np.ndarray, of: np.ndarray) -> float:
    """Share of the frames `of` that are in `part`, 0 for none."""
    return float((part & of).sum() / of.sum()) if of.any() else 0.0
