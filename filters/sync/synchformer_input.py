"""Synchformer's own preprocessing: frames and samples to segments of pixels and mel. Numbers: its repository.

av-benchmark, whose DeSync papers quote, hears the same and sees more: it scales the short side to 224, not to 256
(`squares`), before it cuts 224 x 224 out of the middle.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from filters.audio.mel import mel_bank
from filters.sync.synchformer_windows import FRAME_STEP

RATE = 16_000
FRAMES = 16
SAMPLES, SAMPLE_STEP = 10_240, 5_120
SIDE = 224
_AT_ONCE = 16
"""Frames that are scaled together: what is cut off again is never held for the whole clip."""
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


def squares(frames: np.ndarray) -> np.ndarray:
    """av-benchmark's pictures: uint8 frames (T, H, W, 3) -> (T, 224, 224, 3), the middle of `resized`."""
    parts = [centre(resized(frames[i : i + _AT_ONCE])) for i in range(0, len(frames), _AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros((0, SIDE, SIDE, 3), np.uint8)


def resized(frames: np.ndarray) -> np.ndarray:
    """uint8 frames (T, H, W, 3) with the short side scaled to 224 and the long one floored.

    Bicubic, antialiased, in uint8: torchvision's Resize, which av-benchmark uses, is torch's `interpolate`.
    """
    height, width = frames.shape[1:3]
    size = (SIDE * height // width, SIDE) if width <= height else (SIDE, SIDE * width // height)
    planes = torch.tensor(frames).permute(0, 3, 1, 2)
    if planes.shape[2:] != size:
        planes = F.interpolate(planes, size, mode="bicubic", antialias=True)
    return planes.permute(0, 2, 3, 1).numpy()


def mel(samples: np.ndarray, first: int, count: int) -> Tensor:
    """Segments of float32 samples (n,) at 16 kHz -> normalised log-mel (count, 1, 128, 66).

    The last of the 66 columns is padding, as in the AST that the authors started from: they pad the logarithm by 0.
    """
    part = samples[first * SAMPLE_STEP : (first + count - 1) * SAMPLE_STEP + SAMPLES]
    found = mel_log(torch.tensor(part).unfold(0, SAMPLES, SAMPLE_STEP))
    padded = F.pad(found, (0, _COLUMNS - found.shape[-1]))
    return ((padded - _MEAN) / _TWICE_STD).unsqueeze(1)


def mel_log(segments: Tensor) -> Tensor:
    """Natural logarithm of `mel_power`, floored."""
    return torch.log(mel_power(segments) + _FLOOR)


def mel_power(segments: Tensor) -> Tensor:
    """(n, 10240) samples -> power in 128 bands (HTK, 0 to 8 kHz, no normalisation), (n, 128, 65)."""
    spectrum = torch.stft(segments, _FFT, _HOP, _WINDOW, hann(), center=True, pad_mode="reflect", return_complex=True)
    return filterbank() @ spectrum.abs().square()


def hann() -> Tensor:
    """The window of the spectrum, (400,)."""
    return torch.hann_window(_WINDOW, periodic=True)


def filterbank() -> Tensor:
    """(128, 513)."""
    return torch.from_numpy(mel_bank(RATE, _FFT, _BANDS, 0.0, 8000.0))
