"""Speech with an exact transcript: espeak-ng from the espeakng-loader package (GPL-3, a development dependency)."""

import importlib.util
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr

from manifests.errors import BackendAbsent
from media import child
from media.child import Limits
from media.synth.sounds import RATE
from media.synth.truth import Word


@dataclass(frozen=True)
class Line:
    """One thing to say. voice: an espeak-ng voice, e.g. `en-us+m3`; speed: words a minute; pitch: 0-99."""

    text: str
    voice: str = "en-us+m3"
    speed: int = 140
    pitch: int = 50


@dataclass(frozen=True)
class Spoken:
    """samples: float32 (n,) at 44.1 kHz, -20 dBFS RMS; words with their times from the first sample."""

    samples: np.ndarray
    words: tuple[Word, ...]


def speak(lines: list[Line]) -> list[Spoken]:
    """Speak all `lines` in one child process (espeak-ng is C code with global state). Same lines, same samples.

    Raises BackendAbsent when espeakng-loader is not installed, MediaError when the child fails.
    """
    if importlib.util.find_spec("espeakng_loader") is None:
        raise BackendAbsent(
            "backend:espeakng_loader", "synthetic speech needs the package espeakng-loader: pip install espeakng-loader"
        )
    with tempfile.TemporaryDirectory(prefix="klear-speech-") as folder:
        request, answer = Path(folder) / "lines.json", Path(folder) / "speech.npz"
        request.write_text(json.dumps([[line.text, line.voice, line.speed, line.pitch] for line in lines]))
        argv = [sys.executable, "-P", "-m", "media.synth.speech_child", str(request), str(answer)]
        child.run(argv, Limits(timeout_s=60.0, max_rss=1 << 30, max_file=256 << 20), failed="media:speech_failed")
        with np.load(answer) as found:
            rate = int(found["rate"])
            heard = [(found[f"samples{i}"], found[f"starts{i}"]) for i in range(len(lines))]
    return [_spoken(line, samples, starts, rate) for line, (samples, starts) in zip(lines, heard)]


def _spoken(line: Line, samples: np.ndarray, starts: np.ndarray, rate: int) -> Spoken:
    heard = np.flatnonzero(np.abs(samples) > 32)
    samples = samples[: heard[-1] + 1] if len(heard) else samples
    sound = soxr.resample(samples.astype(np.float32) / 32768, rate, RATE).astype(np.float32)
    sound *= 0.1 / max(1e-6, float(np.sqrt(np.mean(sound**2))))
    texts = line.text.split()
    ends = [*starts[1:], len(samples) / rate]
    words = tuple(Word(t.strip(".,?!").lower(), float(a), float(b)) for t, a, b in zip(texts, starts, ends))
    return Spoken(np.clip(sound, -1, 1), words)
