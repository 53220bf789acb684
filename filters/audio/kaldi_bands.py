"""Kaldi's log filter bank energies in torch: kaldi-native-fbank refuses 128 bands of 512 points, which models use."""

from functools import lru_cache

import torch
from torch import Tensor

RATE = 16_000
_WINDOW, _HOP, _FFT = 400, 160, 512
_LOW_HZ, _HIGH_HZ = 20.0, 8000.0
_PREEMPHASIS = 0.97


def fbank(samples: Tensor, bands: int = 128) -> Tensor:
    """Float32 samples (n,) in [-1, 1] at 16 kHz -> (1 + (n - 400) // 160, bands), 10 ms apart; no frame is padded.

    Windows of 25 ms (Hann, symmetric), mean removed, pre-emphasis 0.97, power, log floored at float32's epsilon.
    """
    if len(samples) < _WINDOW:
        return torch.zeros(0, bands)
    frames = samples.unfold(0, _WINDOW, _HOP)
    frames = frames - frames.mean(1, keepdim=True)
    before = torch.cat([frames[:, :1], frames[:, :-1]], 1)
    shaped = (frames - _PREEMPHASIS * before) * torch.hann_window(_WINDOW, periodic=False)
    power = torch.fft.rfft(shaped, _FFT).abs().square()[:, : _FFT // 2]
    return (power @ bank(bands).T).clamp(min=torch.finfo(torch.float32).eps).log()


@lru_cache(maxsize=4)
def bank(bands: int) -> Tensor:
    """(bands, 256): triangles in mel over the bins of the FFT below the last, 20 to 8000 Hz."""
    low, high = _mel(torch.tensor([_LOW_HZ, _HIGH_HZ], dtype=torch.float64))
    edges = low + (high - low) / (bands + 1) * torch.arange(bands + 2)
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    at = _mel(torch.arange(_FFT // 2, dtype=torch.float64) * RATE / _FFT)
    return torch.minimum((at - left) / (middle - left), (right - at) / (right - middle)).clamp(min=0).float()


def _mel(hertz: Tensor) -> Tensor:
    return 1127 * torch.log1p(hertz / 700)
