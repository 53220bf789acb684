"""Do these lips move with this voice, how late is the voice, and would other lips have done as well?"""

from dataclasses import dataclass

import numpy as np

from filters.sync.envelope import ENVELOPE_RATE, without_slow

FPS = 25
STEPS = ENVELOPE_RATE // FPS
REACH_S = 0.64
APART_S = 0.12
"""Lags nearer to the peak than this belong to the peak."""
SURROGATES = 1000
ACTIVE_S = 0.5
"""How slowly it changes how much lips move: standard deviation of the average, seconds."""
LEAST_FRAMES = 25


@dataclass(frozen=True)
class Match:
    """offset_s: lag of the best correlation, > 0 where the voice comes after the lips. correlation: there, in [-1, 1].

    confidence: 1 - (best other lag / peak), in [0, 1]. chance: share of surrogate lips whose best lag is as good.
    """

    offset_s: float
    correlation: float
    confidence: float
    chance: float


def moving(lips: np.ndarray) -> np.ndarray:
    """The lip opening (frames,) without its slow part, NaN where it is not known: gaps are bridged, then cut again."""
    known = ~np.isnan(lips)
    if not known.any():
        return lips
    bridged = np.interp(np.arange(len(lips)), np.flatnonzero(known), lips[known])
    return np.where(known, without_slow(bridged, FPS), np.nan)


def match(
    lips: np.ndarray, voice: np.ndarray, at: np.ndarray | None = None, around: float | None = None
) -> Match | None:
    """None where there is too little to compare: a second of lips, and lips and voice that change.

    lips: `moving`, (frames,) at 25 Hz. voice: an envelope without its slow part, at 100 Hz. at: (frames,) bool, the
    frames that count. around: look only at lags within 0.12 s of it, else at -0.64 .. 0.64 s.
    """
    known = ~np.isnan(lips) if at is None else ~np.isnan(lips) & at
    if known.sum() < LEAST_FRAMES or len(voice) < STEPS * LEAST_FRAMES:
        return None
    lags = _lags(around)
    weights, heard = _shifted(voice, known, lags)
    seen = np.where(known, lips, 0.0)
    if heard.any(1).sum() < len(lags) or np.std(lips[known]) < 1e-6:
        return None
    curve = _correlations(seen[None], weights, heard)[0]
    best = int(np.argmax(curve))
    peak = float(curve[best])
    away = np.abs(lags - lags[best]) > APART_S * ENVELOPE_RATE
    other = float(curve[away].max()) if away.any() else 0.0
    luck = _correlations(np.where(known, surrogates(seen), 0.0), weights, heard).max(1)
    return Match(
        offset_s=float(lags[best] + _bend(curve, best)) / ENVELOPE_RATE,
        correlation=peak,
        confidence=float(np.clip(1 - other / peak, 0, 1)) if peak > 0 else 0.0,
        chance=float((np.sum(luck >= peak) + 1) / (SURROGATES + 1)),
    )


def surrogates(lips: np.ndarray) -> np.ndarray:
    """Other lips, (1000, frames), fixed seed: as fast as these and as active at the same times, but random.

    The spectrum of the lips over their activity is kept, its phases are drawn, and the activity put back: people who
    speak at the same time as somebody else, but other words.
    """
    from scipy.ndimage import gaussian_filter1d

    activity = np.sqrt(gaussian_filter1d(lips**2, ACTIVE_S * FPS, mode="nearest")) + 1e-6
    spectrum = np.abs(np.fft.rfft(lips / activity))
    phases = np.random.default_rng(0).uniform(0, 2 * np.pi, (SURROGATES, len(spectrum)))
    return np.asarray(np.fft.irfft(spectrum * np.exp(1j * phases), len(lips), axis=1) * activity)


def _lags(around: float | None) -> np.ndarray:
    """Lags in steps of 10 ms."""
    reach, middle = (REACH_S, 0) if around is None else (APART_S, round(around * ENVELOPE_RATE))
    count = round(reach * ENVELOPE_RATE)
    return middle + np.arange(-count, count + 1)


def _shifted(voice: np.ndarray, known: np.ndarray, lags: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each lag: which frames have both, (lags, frames) 0 or 1, and the voice on them, centred and of length 1."""
    places = STEPS * np.arange(len(known)) + lags[:, None]
    both = (places >= 0) & (places < len(voice)) & known
    values = voice[np.clip(places, 0, len(voice) - 1)]
    mean = np.sum(values * both, 1, keepdims=True) / np.maximum(both.sum(1, keepdims=True), 1)
    centred = np.where(both, values - mean, 0.0)
    return both.astype(np.float64), centred / np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-9)


def _correlations(lips: np.ndarray, both: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """(n, frames) lips with the voice at every lag: (n, lags), less where lips and voice overlap less."""
    count = both.sum(1)
    spread = lips**2 @ both.T - (lips @ both.T) ** 2 / np.maximum(count, 1)
    return np.asarray(lips @ heard.T / np.sqrt(np.maximum(spread, 1e-12)) * np.sqrt(count / count.max()))


def _bend(curve: np.ndarray, best: int) -> float:
    """Where the parabola through the peak and its neighbours has its top, in lags from the peak."""
    if not 0 < best < len(curve) - 1:
        return 0.0
    before, top, after = curve[best - 1 : best + 2]
    bend = before - 2 * top + after
    return float(0.5 * (before - after) / bend) if bend < 0 else 0.0
