"""How many speak, and who when: drawn dialogues, pyannote's own telephone sample, and readers one after the other."""

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from media.synth.truth import Truth
from media.views import AUDIO_16K, Views
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding

RATE = 16_000
Turn = tuple[str, float, float]
"""Speaker, start, end in seconds."""


def check(drawn: Sequence[tuple[Truth, dict[str, Any]]], media: Path | None) -> Iterator[Finding]:
    """drawn: truths of synthetic speech with the facts measured on it. media: real clips, when they are at hand."""
    said = [(truth, facts) for truth, facts in drawn if truth.speakers]
    right = sum(facts["audio.voices.speakers"] == truth.speakers for truth, facts in said)
    points = [(float(truth.speakers), float(facts["audio.voices.speakers"])) for truth, facts in said]
    figures: dict[str, float | None] = {"count right": right / len(said)}
    yield Finding("audio.voices.speakers", "drawn speakers", len(said), figures, {"count right": (0.8, None)}, points)
    audio, turns = telephone()
    yield _diarized("pyannote's sample, 30 s", audio, turns, 2, 0.092)
    if media:
        audio, turns = readers(media)
        yield _diarized("four readers, one after the other", audio, turns, 4, 0.205)


def telephone() -> tuple[np.ndarray, list[Turn]]:
    """The 30 s that pyannote.audio ships, and who speaks when."""
    import soundfile

    folder = Path(str(importlib.util.find_spec("pyannote.audio").origin)).parent / "sample"  # type: ignore[union-attr]
    fields = [line.split() for line in (folder / "sample.rttm").read_text().splitlines()]
    turns = [(f[7], float(f[3]), float(f[3]) + float(f[4])) for f in fields]
    return soundfile.read(folder / "sample.wav", dtype="float32")[0], turns


def readers(media: Path) -> tuple[np.ndarray, list[Turn]]:
    """LibriSpeech readings of four readers in turn, 0.4 s apart. A turn is a whole reading: its pauses count as speech,
    as in the reference that the figures are compared with."""
    import soundfile

    by_reader: dict[str, list[Path]] = {}
    for path in sorted((media / "librispeech").glob("*.flac")):
        by_reader.setdefault(path.name.partition("-")[0], []).append(path)
    chosen = sorted(by_reader)[:4]
    audio, turns, at = [], [], 0.0
    for number in range(2):
        for name in chosen:
            files = by_reader[name]
            reading = soundfile.read(files[number % len(files)], dtype="float32")[0][: 8 * RATE]
            turns.append((name, at, at + len(reading) / RATE))
            audio += [reading, np.zeros(round(0.4 * RATE), np.float32)]
            at += len(reading) / RATE + 0.4
    return np.concatenate(audio), turns


def _diarized(case: str, audio: np.ndarray, truth: list[Turn], speakers: int, worst: float) -> Finding:
    facts = {"audio.classes": {"audio_class": "speech"}}
    row = through.on("audio.voices", Views({AUDIO_16K: audio}), facts)
    rate = error_rate(row["turns"], truth, len(audio) / RATE)
    figures = {"DER": rate, "speakers": float(row["speakers"])}
    floors = {"DER": (None, worst), "speakers": (float(speakers), float(speakers))}
    return Finding("audio.voices.turns", case, len(truth), figures, floors)


def error_rate(turns: list[dict[str, Any]], truth: list[Turn], seconds: float) -> float:
    """Diarization error rate without collar, overlaps counted."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    reference, found = Annotation(), Annotation()
    for n, (speaker, start, end) in enumerate(truth):
        reference[Segment(start, end), n] = speaker
    for n, turn in enumerate(turns):
        found[Segment(turn["start_s"], turn["end_s"]), n] = turn["speaker"]
    return float(DiarizationErrorRate()(reference, found, uem=Timeline([Segment(0, seconds)])))
