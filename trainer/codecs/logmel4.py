"""`logmel4`: four log-mel frames a latent, heard again through fast Griffin-Lim. Phase-free, hence easy to model.

80 mel bands (Slaney) of 0 to 22,050 Hz at hop 256; the four frames of latent i are centred on samples 1024 i + 128,
+ 384, + 640 and + 896, so a latent describes its own hop of 1,024 samples and T latents need no extra frame.
"""

from functools import cache

import numpy as np
import torch

from trainer.codecs.mdct import in_hops
from trainer.codecs.stats import Scaling

RATE, HOP, WINDOW, BANDS, STACKED = 44_100, 256, 1024, 80, 4
FLOOR = 1e-5
ROUNDS, MOMENTUM = 32, 0.99


class LogMel4:
    """The `logmel4` codec: 320 channels, band b of frame j at 80 j + b, natural logarithm of the band's magnitude."""

    NAME = "logmel4"
    VERSION = 1
    CHANNELS = STACKED * BANDS
    LICENCE = "Apache-2.0 (a formula; no weights)"
    SCALING = Scaling(bend=0.0, power=1.0)

    def __init__(self, rounds: int = ROUNDS) -> None:
        self.rounds = rounds

    def encode(self, samples: np.ndarray) -> torch.Tensor:
        """Float32 (n,) at 44,100 Hz to float32 (ceil(n / 1024), 320); zeros follow the end."""
        return log_mel(samples).reshape(-1, STACKED * BANDS)

    def decode(self, latents: torch.Tensor, length: int) -> np.ndarray:
        """Float32 (T, 320) to float32 (length,): magnitudes by non-negative least squares, phases by Griffin-Lim."""
        bands = latents.float().reshape(-1, BANDS).clamp(max=10.0).exp()
        return np.asarray(griffin_lim(_unmel(bands), self.rounds)[:length].numpy())


def log_mel(samples: np.ndarray) -> torch.Tensor:
    """Float32 (n,) at 44,100 Hz to float32 (4 ceil(n / 1024), 80): natural log of mel magnitudes, at least 1e-5."""
    magnitudes = _stft(in_hops(samples).reshape(-1)).abs()
    return (magnitudes @ _filters().T).clamp(min=FLOOR).log()


@cache
def _filters() -> torch.Tensor:
    """Float32 (80, 513): triangular mel filters, each summing to 1, so that a band reads like one bin."""
    import librosa

    filters = librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=BANDS, norm=None, dtype=np.float64)
    return torch.from_numpy(filters / filters.sum(1, keepdims=True)).float()


@cache
def _window() -> torch.Tensor:
    return torch.hann_window(WINDOW)


def _stft(samples: torch.Tensor) -> torch.Tensor:
    """(256 m,) to complex (m, 513); frame i is centred on sample 256 i + 128; a full-scale sine reads about 0.5."""
    margin = (WINDOW - HOP) // 2
    padded = torch.nn.functional.pad(samples, (margin, margin))
    spectrum = torch.stft(padded, WINDOW, HOP, window=_window(), center=False, return_complex=True)
    return spectrum.T * (2 / WINDOW)


def _istft(spectrum: torch.Tensor) -> torch.Tensor:
    """The least-squares inverse of `_stft`: complex (m, 513) to (256 m,)."""
    frames = torch.fft.irfft(spectrum * (WINDOW / 2), WINDOW) * _window()
    margin, count = (WINDOW - HOP) // 2, len(frames)
    summed = _overlap(frames)
    weight = _overlap((_window() ** 2).expand(count, -1)).clamp(min=1e-3)
    return (summed / weight)[margin : margin + HOP * count]


def _overlap(frames: torch.Tensor) -> torch.Tensor:
    """Overlap-add (m, 1024) at hop 256 to (256 (m - 1) + 1024,)."""
    size = (1, HOP * (len(frames) - 1) + WINDOW)
    return torch.nn.functional.fold(frames.T[None], size, (1, WINDOW), stride=(1, HOP)).reshape(-1)


def _unmel(bands: torch.Tensor, rounds: int = 30) -> torch.Tensor:
    """Magnitudes (m, 513) whose mel bands are `bands` (m, 80), by multiplicative non-negative least squares.

    The update is that of Lee and Seung (2001) with the filters fixed; it keeps every magnitude non-negative.
    """
    filters = _filters()
    magnitudes = bands @ (filters / filters.sum(0).clamp(min=1e-8))
    for _ in range(rounds):
        magnitudes = magnitudes * (bands @ filters) / (magnitudes @ filters.T @ filters).clamp(min=1e-12)
    return magnitudes


def griffin_lim(magnitudes: torch.Tensor, rounds: int) -> torch.Tensor:
    """A waveform (256 m,) whose spectrum has about these magnitudes (m, 513).

    Fast Griffin-Lim (Perraudin, Balazs and Soendergaard 2013) with momentum 0.99; phases start from a fixed seed, so
    the same latents always give the same samples.
    """
    seed = torch.Generator().manual_seed(0)
    turns = torch.rand(magnitudes.shape, generator=seed)
    phases = torch.polar(torch.ones_like(turns), 2 * torch.pi * turns)
    last = torch.zeros_like(phases)
    for _ in range(rounds):
        consistent = _stft(_istft(magnitudes * phases))
        ahead = consistent + MOMENTUM * (consistent - last)
        phases = ahead / ahead.abs().clamp(min=1e-12)
        last = consistent
    return _istft(magnitudes * phases)
