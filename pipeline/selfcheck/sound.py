"""Measures of sound on signals whose truth follows from how they were made. On samples: no codec in between."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from filters.audio import known_mixes
from filters.audio.snr import LOWEST_DB
from media.synth import sounds
from media.synth.speech import Line, speak
from media.views import AUDIO_16K, AUDIO_NATIVE, View, Views
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, errors

RATE = 48_000
SECONDS = 6.0
_LINES = (
    Line("The old lighthouse keeper counts every ship that passes the harbour"),
    Line("My grandmother grows tomatoes on the roof of her house in the city", "en-us+f2"),
    Line("Tomorrow morning the train will leave the station ten minutes early", "en-us+m7"),
    Line("We walked along the river until the sun went down", "en-us+f4"),
)


def check() -> Iterator[Finding]:
    """Loudness, true peak, clipping, silence by energy and by voice, bandwidth, SNR."""
    yield from (_loudness(), _true_peak(), _clipping(), _silence(), _bandwidth())
    spoken = [_at_16k(s.samples) for s in speak(list(_LINES))]
    yield _voice_silence(spoken)
    yield from _snr(spoken)


def _measure(name: str, arrays: dict[View, np.ndarray], facts: dict[str, Any] | None = None) -> dict[str, Any]:
    return through.on(name, Views(arrays, {AUDIO_NATIVE: RATE, AUDIO_16K: 16_000}), facts)


def _times(seconds: float = SECONDS, rate: int = RATE) -> np.ndarray:
    return np.arange(round(seconds * rate)) / rate


def _tone(hertz: float, level_db: float, phase: float = 0.0) -> np.ndarray:
    return (10 ** (level_db / 20) * np.sin(2 * np.pi * hertz * _times() + phase)).astype(np.float32)


def _loudness() -> Finding:
    """A mono sine of 997 Hz at 0 dBFS is -3.01 LUFS (ITU-R BS.1770-4)."""
    pairs = []
    for level in range(-50, 0, 7):
        found = _measure("audio.loudness", {AUDIO_NATIVE: _tone(997, level)})
        pairs.append((level - 3.01, found["lufs"]))
    return Finding(
        "audio.loudness.lufs", "997 Hz, -50 to -1 dBFS", len(pairs), errors(pairs, "LU"), {"95% LU": (None, 0.1)}, pairs
    )


def _true_peak() -> Finding:
    """A sine of a quarter of the rate, sampled at 45 degrees, peaks 3.01 dB above its samples."""
    pairs = []
    for level in range(-24, 1, 4):
        found = _measure("audio.loudness", {AUDIO_NATIVE: _tone(RATE / 4, level, np.pi / 4)})
        pairs.append((float(level), found["true_peak_db"]))
    return Finding(
        "audio.loudness.true_peak_db",
        "12 kHz between samples",
        len(pairs),
        errors(pairs, "dB"),
        {"95% dB": (None, 0.5)},
        pairs,
    )


def _clipping() -> Finding:
    """A sine that is cut where it passes full scale, some turned down afterwards: its share beyond follows from the
    gain; at 0 dB and below nothing is cut, however low the tone."""
    pairs = []
    for gain, level in (
        (0.99, 1.0),
        (1.0, 1.0),
        (1.02, 1.0),
        (1.1, 0.9),
        (1.3, 1.0),
        (2.0, 0.7),
        (4.0, 1.0),
        (8.0, 0.9),
    ):
        for hertz in (40, 110, 440):
            sound = level * np.clip(gain * np.sin(2 * np.pi * hertz * _times()), -1, 1).astype(np.float32)
            share = 1 - 2 / np.pi * np.arcsin(min(1.0, 1 / gain))
            pairs.append((float(share), _measure("audio.fidelity", _both(sound))["clipping_ratio"]))
    return Finding(
        "audio.fidelity.clipping_ratio",
        "tones 0 to 18 dB over, some turned down",
        len(pairs),
        errors(pairs, "of the clip"),
        {"95% of the clip": (None, 0.01)},
        pairs,
    )


def _both(sound: np.ndarray) -> dict[View, np.ndarray]:
    import soxr

    return {AUDIO_NATIVE: sound, AUDIO_16K: soxr.resample(sound, RATE, 16_000).astype(np.float32)}


def _silence() -> Finding:
    """Noise that is switched off for a known share of the clip, over a floor 70 dB below."""
    pairs = []
    rng = np.random.default_rng(0)
    for share in (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 0.95):
        noise = 0.1 * rng.standard_normal(10 * 16_000)
        starts = rng.permutation(20)[: round(20 * share)]
        on = np.ones(20, bool)
        on[starts] = False
        sound = np.where(np.repeat(on, 8_000), noise, 3e-4 * noise).astype(np.float32)
        facts: dict[str, Any] = {"audio.classes": {"speech_spans": []}}
        pairs.append((share, _measure("audio.silence", {AUDIO_16K: sound}, facts)["energy_silence_ratio"]))
    figures = errors(pairs, "of the clip")
    return Finding(
        "audio.silence.energy_silence_ratio",
        "noise switched off",
        len(pairs),
        figures,
        {"95% of the clip": (None, 0.02)},
        pairs,
    )


def _bandwidth() -> Finding:
    """Pink noise cut off steeply at a known frequency."""
    pairs = []
    for hertz in (1_000, 2_000, 4_000, 5_500, 8_000, 11_000, 16_000, 20_000):
        noise = np.random.default_rng(hertz).standard_normal(round(SECONDS * RATE))
        spectrum = np.fft.rfft(noise)
        frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
        spectrum *= np.maximum(frequency, 30) ** -0.5 * (frequency <= hertz)
        sound = np.fft.irfft(spectrum, len(noise))
        sound = (0.1 * sound / sound.std()).astype(np.float32)
        pairs.append((float(hertz), _measure("audio.fidelity", _both(sound))["bandwidth_hz"]))
    relative = [(1.0, measured / truth) for truth, measured in pairs]
    figures = errors(relative, "%", 100)
    return Finding(
        "audio.fidelity.bandwidth_hz",
        "pink noise cut at 1 to 20 kHz",
        len(pairs),
        figures,
        {"95% %": (None, 10.0)},
        pairs,
    )


def _voice_silence(spoken: list[np.ndarray]) -> Finding:
    """Sentences with a pause of a known length between them, over pink noise 20 dB below the voices."""
    pairs = []
    for number, pause in enumerate((0.0, 0.5, 1.0, 2.0, 4.0, 8.0)):
        first, second = spoken[number % len(spoken)], spoken[(number + 1) % len(spoken)]
        sound = np.concatenate([first, np.zeros(round(pause * 16_000)), second])
        room = 0.1 * np.resize(_noise(1.0), len(sound))
        heard: dict[View, np.ndarray] = {AUDIO_16K: (sound + room).astype(np.float32)}
        facts = {"audio.classes": _measure("audio.classes", heard)}
        share = pause * 16_000 / len(sound)
        pairs.append((share, _measure("audio.silence", heard, facts)["vad_silence_ratio"]))
    figures, floors = errors(pairs, "of the clip"), {"95% of the clip": (None, 0.03)}
    return Finding("audio.silence.vad_silence_ratio", "pauses between sentences", len(pairs), figures, floors, pairs)


def _snr(spoken: list[np.ndarray]) -> Iterator[Finding]:
    """Synthetic voices in noise, at -10 to 30 dB: sentences with a pause between them, and words without any.

    The floor is of the worst ratio of -5 to 25 dB: an estimate that never changes may be right at one of them.
    """
    pause = np.zeros(28_800)  # 1.8 s of 9: as much as people pause who read aloud
    sentences = [np.concatenate([a, pause, b]) for a, b in zip(spoken, spoken[1:] + spoken[:1])]
    backgrounds = {name: _noise(slope) for name, slope in (("white", 0.0), ("pink", 1.0), ("brown", 2.0))}
    for case, voices in (("sentences in noise", sentences), ("words without a pause", spoken)):
        found = known_mixes.errors(voices, backgrounds)
        for ratio in known_mixes.RATIOS_DB:
            own = [error for error in found if error.ratio_db == ratio]
            means = {"mean dB": [e.mae_db for e in own], "bias dB": [e.bias_db for e in own]}
            yield Finding(
                "audio.fidelity.snr_db",
                f"{case}, {ratio:+d} dB" + (", the least it answers" if ratio == LOWEST_DB else ""),
                sum(error.mixes for error in own),
                {name: float(np.mean(values)) for name, values in means.items()},
                points=[(float(ratio), ratio + error.bias_db) for error in own],
            )
        if case == "sentences in noise":
            yield _worst(case, [error for error in found if -5 <= error.ratio_db <= 25])


def _worst(case: str, found: list[known_mixes.Error]) -> Finding:
    ratios = sorted({error.ratio_db for error in found})
    means = [float(np.mean([error.mae_db for error in found if error.ratio_db == ratio])) for ratio in ratios]
    case, count = f"{case}, {ratios[0]:+d} to {ratios[-1]:+d} dB", sum(error.mixes for error in found)
    return Finding("audio.fidelity.snr_db", case, count, {"worst mean dB": max(means)}, {"worst mean dB": (None, 2.5)})


def _at_16k(samples: np.ndarray) -> np.ndarray:
    import soxr

    return np.asarray(soxr.resample(samples, sounds.RATE, 16_000), np.float64)


def _noise(slope: float) -> np.ndarray:
    return _at_16k(sounds.noise(12.0, np.random.default_rng(5), slope))
