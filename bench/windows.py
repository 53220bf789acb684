"""Windows: how many cuts inside a source split a word, evenly and in the gaps of speech, and what listening costs.

Talk without end, as one shot: synthetic sentences with known word times and pauses of two kinds, and LibriSpeech
readings (KLEAR_MEDIA) with WhisperX's word times. A cut splits a word when it lies more than 40 ms inside one.
Run: python -m bench.windows [--record]
"""

import argparse
import os
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import soundfile
import soxr

from bench import markdown
from bench.harness import record
from filters.audio import silero
from media.cuts import Cut, plan_cuts
from media.synth.speech import Line, speak
from media.windows import plan_windows

FPS = Fraction(25)
INSIDE_S = 0.04
LIMITS = ((2.0, 10.0), (2.0, 5.0), (2.0, 3.0))
VOICES = ("en-us+m3", "en-us+f2")
LINES = (
    "The old lighthouse keeper counts every ship that passes the harbour and writes its name in a thick blue book",
    "My grandmother grows tomatoes and yellow peppers on the roof of her house in the middle of the city",
    "Tomorrow morning the train will leave the station ten minutes early because the bridge is under repair",
    "Did you remember to bring the camera for the long trip",
    "Yes I packed it in the green bag behind the door",
)
Talk = tuple[np.ndarray, list[tuple[float, float]]]
"""Samples at 16 kHz, and (start, end) of each word in seconds."""


def synthetic(low_s: float, high_s: float, sentences: int = 60) -> Talk:
    """Sentences with pauses drawn from [low_s, high_s], in a quiet room."""
    rng, parts, words, at = np.random.default_rng(0), [], [], 0.0
    said = speak([Line(text, voice) for voice in VOICES for text in LINES])
    for _ in range(sentences):
        spoken = said[rng.integers(len(said))]
        words += [(at + word.start_s, at + word.end_s) for word in spoken.words]
        sound = soxr.resample(spoken.samples, 44_100, silero.RATE)
        parts += [sound, np.zeros(int(rng.uniform(low_s, high_s) * silero.RATE))]
        at += (len(sound) + len(parts[-1])) / silero.RATE
    track = np.concatenate(parts)
    return (track + 0.002 * rng.standard_normal(len(track))).astype(np.float32), words


def readings(folder: Path) -> Talk:
    """LibriSpeech sentences one after the other."""
    from captioners.transcribe.whisperx import WhisperX

    listener, parts, words, at = WhisperX()._load(), [], [], 0.0
    for path in sorted(folder.glob("*.flac")):
        sound, _ = soundfile.read(path, dtype="float32")
        (heard,) = listener.hear([(sound, None)])
        words += [(at + word.start_s, at + word.end_s) for segment in heard.segments for word in segment.words]
        parts.append(sound)
        at += len(sound) / silero.RATE
    return np.concatenate(parts), words


def splits(cuts: Sequence[Cut], words: list[tuple[float, float]], frames: int) -> tuple[int, int]:
    """(cuts that split a word, cuts) of a source, its own ends apart."""
    edges = {edge for cut in cuts for edge in (cut.start_frame, cut.start_frame + cut.frames)} - {0, frames}
    times = [float(edge / FPS) for edge in edges]
    return sum(any(a + INSIDE_S < t < b - INSIDE_S for a, b in words) for t in times), len(times)


def main() -> None:
    """Measure, print, and with --record append to RESULTS.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    keep = parser.parse_args().record
    media = Path(os.environ["KLEAR_MEDIA"])
    talks = {"synthetic, pauses 0.1-0.4 s": synthetic(0.1, 0.4), "synthetic, pauses 0.3-1 s": synthetic(0.3, 1.0)}
    talks["LibriSpeech"] = readings(media / "librispeech")
    rows = []
    for name, (sound, words) in talks.items():
        seconds, frames = len(sound) / silero.RATE, int(len(sound) / silero.RATE * FPS)
        began = time.process_time()
        speech = silero.spans_of(silero.stream_probabilities([sound]), min_gap_s=0.03)
        cost = (time.process_time() - began) / seconds
        for low, high in LIMITS:
            even = plan_cuts([(0, frames)], FPS, low, high)
            ours = plan_windows([(0, frames)], speech, FPS, low, high)
            shares = [f"{s}/{n} = {s / max(1, n):.2f}" for s, n in (splits(c, words, frames) for c in (even, ours))]
            kept = sum(cut.frames for cut in ours) / sum(cut.frames for cut in even)
            rows.append([name, f"{seconds:.0f}", f"{low:g}-{high:g}", *shares, f"{kept:.3f}", f"{cost:.4f}"])
    header = ["talk", "seconds", "clips, s", "cuts in a word, even", "speech", "coverage / even", "CPU-s a second"]
    text = f"{__doc__.split('Run:')[0]}\n{markdown.machine()}.\n\n{markdown.table(header, rows)}"  # type: ignore[union-attr]
    record("cuts inside words", text, keep)


if __name__ == "__main__":
    main()
