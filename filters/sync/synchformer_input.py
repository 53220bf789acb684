"""Synchformer's own preprocessing: frames and samples to segments of pixels and mel. Numbers: its repository."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from filters.audio.mel import mel_bank

FPS, RATE = 25, 16_000
FRAMES, FRAME_STEP = 16, 8
SAMPLES, SAMPLE_STEP = 10_240, 5_120
SIDE = 224
_FFT, _WINDOW, _HOP, _BANDS, _COLUMNS = 1024, 400, 160, 128, 66
_FLOOR, _MEAN, _TWICE_STD = 1e-6, -4.2677393, 2 * 4.5689974


def segments_in(frames: int, samples: int) -> int:
    """Segments of 0.64 s, 0.32 s apart, that fit into both streams from their start."""
    return max(0, min((frames - FRAMES) // FRAME_STEP, (samples - SAMPLES) // SAMPLE_STEP) + 1)


def pixels(frames: np.ndarray, first: int, count: int) -> Tensor:
    """Segments of uint8 frames (T, 224, 224, 3) at 25 fps -> float32 (count, 16, 3, 224, 224) in [-1, 1].

    first: index of the first segment.
    """
    part = frames[first * FRAME_STEP : (first + count - 1) * FRAME_STEP + FRAMES]
    planes = torch.tensor(part).permute(0, 3, 1, 2)
    return normalised(planes).unfold(0, FRAMES, FRAME_STEP).movedim(-1, 1)


def normalised(planes: Tensor) -> Tensor:
    """uint8 to float32 in [-1, 1]. The authors do it in float16: logits move by 1.5e-5."""
    return (planes / 255 - 0.5) / 0.5


def centre(frames: np.ndarray, side: int = SIDE) -> np.ndarray:
    """The middle `side` x `side` of frames (T, H, W, 3), at the rounded place that the authors' crop takes."""
    top, left = (round((length - side) / 2) for length in frames.shape[1:3])
    return frames[:, top : top + side, left : left + side]


def mel(samples: np.ndarray, first: int, count: int) -> Tensor:
    """Segments of float32 samples (n,) at 16 kHz -> normalised log-mel (count, 1, 128, 66).

    The last of the 66 columns is padding, as in the AST that the authors started from: they pad the logarithm by 0.
    """
    part = samples[first * SAMPLE_STEP : (first + count - 1) * SAMPLE_STEP + SAMPLES]
    found = torch.log(mel_power(torch.tensor(part).unfold(0, SAMPLES, SAMPLE_STEP)) + _FLOOR)
    padded = F.pad(found, (0, _COLUMNS - found.shape[-1]))
    return ((padded - _MEAN) / _TWICE_STD).unsqueeze(1)


def mel_power(segments: Tensor) -> Tensor:
    """(n, 10240) samples -> power in 128 bands (HTK, 0 to 8 kHz, no normalisation), (n, 128, 65)."""
    window = torch.hann_window(_WINDOW, periodic=True)
    spectrum = torch.stft(segments, _FFT, _HOP, _WINDOW, window, center=True, pad_mode="reflect", return_complex=True)
    return filterbank() @ spectrum.abs().square()


def filterbank() -> Tensor:
    """(128, 513)."""
    return torch.from_numpy(mel_bank(RATE, _FFT, _BANDS, 0.0, 8000.0))
