"""Is the second channel one of its own, or the first again: side against mid, and what delay and filter leave over.

The left and right channel (the first two) are laid over each other at the delay, up to 40 ms, where they agree best.
Their coherence then says what share of one channel is no filtered copy of the other: a copy leaves nothing, whatever
its gain, polarity or delay; two microphones leave most. Lossy coding of a delayed or panned copy leaves noise.
Measured: copies -120 dB, through MP3 or AAC -23 dB and less, delayed through Opus at 64 kb/s -18 dB; films and songs
in stereo -1 to -8 dB. A centred voice with a room 20 dB below it leaves -24 dB and counts as fake.
"""

import numpy as np

FAKE_DB = -18.0
LOWEST_DB, HIGHEST_DB = -120.0, 120.0
MAX_DELAY_S = 0.04
FRAME, FRAMES = 1024, 512
WINDOW, WINDOWS = 8192, 16
"""Most frames for the coherence and most windows for the delay, spread evenly: a bounded cost for any clip."""


def side_to_mid(audio: np.ndarray) -> float | None:
    """Level of (left - right) over (left + right) in dB, in [-120, 120]; None for mono or silent (n, channels)."""
    if not two(audio):
        return None
    left, right = audio[:, 0].astype(np.float64), audio[:, 1].astype(np.float64)
    side, mid = np.sum((left - right) ** 2), np.sum((left + right) ** 2)
    return float(np.clip(10 * np.log10((side + 1e-20) / (mid + 1e-20)), LOWEST_DB, HIGHEST_DB))


def residual(audio: np.ndarray, rate: int) -> float | None:
    """What of the channels is no copy of each other, in dB of their power, in [-120, 0]; None for mono or silence.

    audio: (n, channels) at `rate` Hz. One channel 60 dB below the other counts as nothing of its own.
    """
    if not two(audio):
        return None
    left, right = audio[:, 0].astype(np.float64), audio[:, 1].astype(np.float64)
    power = np.sort([np.mean(left**2), np.mean(right**2)])
    if power[0] < 1e-6 * power[1] or len(left) < FRAME or np.array_equal(left, right):
        return LOWEST_DB
    shift = delay(left, right, round(MAX_DELAY_S * rate))
    if shift > 0:
        left, right = left[shift:], right[:-shift]
    elif shift < 0:
        left, right = left[:shift], right[-shift:]
    return _incoherent(left, right)


def two(audio: np.ndarray) -> bool:
    """Whether there are two channels and anything in them."""
    return audio.shape[1] > 1 and bool(np.any(audio[:, :2]))


def delay(left: np.ndarray, right: np.ndarray, most: int) -> int:
    """Samples by which (n,) `left` comes after `right`, where their correlation is strongest, within +-most."""
    a, b = _spread(left, WINDOW, WINDOWS), _spread(right, WINDOW, WINDOWS)
    most = min(most, a.shape[1] // 2)
    size = 2 * a.shape[1]
    cross = np.fft.irfft((np.fft.rfft(a, size) * np.fft.rfft(b, size).conj()).sum(axis=0), size)
    around = np.concatenate([cross[-most:], cross[: most + 1]]) if most else cross[:1]
    return int(np.abs(around).argmax()) - most


def _incoherent(left: np.ndarray, right: np.ndarray) -> float:
    """Share of the power, in dB, that a filter from one channel to the other does not explain."""
    window = np.hanning(FRAME)
    a, b = (np.fft.rfft(_spread(x, FRAME, FRAMES) * window) for x in (left, right))
    of_left, of_right = (np.abs(a) ** 2).sum(axis=0), (np.abs(b) ** 2).sum(axis=0)
    coherence = np.abs((a * b.conj()).sum(axis=0)) ** 2 / (of_left * of_right + 1e-30)
    weight = of_left / of_left.sum() + of_right / of_right.sum()
    share = float((weight * (1 - coherence)).sum() / 2)
    return float(np.clip(10 * np.log10(max(share, 1e-12)), LOWEST_DB, 0.0))


def _spread(x: np.ndarray, size: int, most: int) -> np.ndarray:
    """Up to `most` half-overlapped stretches (count, size) of (n,) samples, evenly from the start to the end."""
    size = min(size, len(x))
    count = min(most, 1 + 2 * (len(x) - size) // size)
    starts = np.linspace(0, len(x) - size, count).astype(int)
    return np.lib.stride_tricks.sliding_window_view(x, size)[starts]
