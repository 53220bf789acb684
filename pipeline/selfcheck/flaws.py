"""Flaws of the recording chain: dropouts, DC offset, fake stereo. On samples; truth by construction."""

from collections.abc import Iterator

import numpy as np

from media.synth import sounds
from media.views import AUDIO_16K, AUDIO_NATIVE, Views
from pipeline.selfcheck import through
from pipeline.selfcheck.finding import Finding, detection, errors

RATE = sounds.RATE
SECONDS = 6.0


def check() -> Iterator[Finding]:
    """Dropouts by number and share, offset, and which stereo is fake."""
    yield from (_dropouts(), _offset(), _stereo())


def _measure(sound: np.ndarray) -> dict[str, object]:
    import soxr

    mono = sound if sound.ndim == 1 else sound.mean(axis=1)
    heard = np.asarray(soxr.resample(mono, RATE, 16_000), np.float32)
    views = Views({AUDIO_NATIVE: sound.astype(np.float32), AUDIO_16K: heard}, {AUDIO_NATIVE: RATE, AUDIO_16K: 16_000})
    return dict(through.on("audio.fidelity", views))


def _dropouts() -> Finding:
    """Gaps of 10 to 80 ms in pink noise, half of them zeros, half the last value held; the rest is whole."""
    pairs, numbers = [], []
    for count in (0, 0, 1, 2, 4, 8):
        rng = np.random.default_rng(count)
        sound = sounds.noise(SECONDS, rng, 1.0)
        starts = 0.3 + np.arange(count) * (SECONDS - 0.6) / max(1, count) + rng.uniform(0, 0.1, count)
        lengths = rng.uniform(0.01, 0.08, count)
        for number, (start, length) in enumerate(zip(starts, lengths)):
            span = slice(round(start * RATE), round((start + length) * RATE))
            sound[span] = 0 if number % 2 else sound[span.start - 1]
        found = _measure(sound)
        pairs.append((float(lengths.sum() / SECONDS), float(found["dropout_ratio"])))  # type: ignore[arg-type]
        numbers.append(found["dropouts"] == count)
    figures = errors(pairs, "of the clip") | {"count right": float(np.mean(numbers))}
    floors = {"95% of the clip": (None, 0.002), "count right": (0.8, None)}
    return Finding("audio.fidelity.dropout_ratio", "gaps in pink noise", len(pairs), figures, floors, pairs)


def _offset() -> Finding:
    pairs = []
    for offset in (0.0, 0.001, 0.01, 0.05, 0.2):
        sound = sounds.noise(SECONDS, np.random.default_rng(1), 0.0)
        found = _measure(sound - sound.mean() + offset)
        pairs.append((offset, float(found["dc_offset"])))  # type: ignore[arg-type]
    figures = errors(pairs, "of full scale")
    return Finding(
        "audio.fidelity.dc_offset", "white noise", len(pairs), figures, {"95% of full scale": (None, 1e-4)}, pairs
    )


def _stereo() -> Finding:
    """One channel copied (quieter, turned over, up to 20 ms later, with a noise 30 dB below), against two of their own
    that share a source."""
    truths, found = [], []
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        left, other = sounds.noise(SECONDS, rng, 1.0), sounds.noise(SECONDS, rng, 1.0)
        hiss = 10 ** (-30 / 20) * sounds.noise(SECONDS, rng, 1.0)
        copies = [left, 0.4 * left, -left, np.roll(left, round(0.02 * RATE)), left + hiss]
        own = [other, 0.8 * left + 0.6 * other, 0.6 * left - 0.8 * other]
        for right, fake in [*((c, True) for c in copies), *((o, False) for o in own)]:
            truths.append(fake)
            found.append(bool(_measure(np.stack([left, right], axis=1))["fake_stereo"]))
    return Finding(
        "audio.fidelity.fake_stereo",
        "copies against two sources",
        len(truths),
        detection(truths, found),
        {"precision": (0.95, None), "recall": (0.95, None)},
    )
