"""Voice and background without weights: what is not harmonic is called voice.

Median filtering splits a spectrogram into lines (held notes) and columns (hits); with a wide margin the held notes
alone are taken away, and the residual keeps speech, whose pitch glides, with everything percussive or noisy.
Source: Fitzgerald 2010, Driedger, Müller and Disch 2014, as `librosa.decompose.hpss`. Honest name: it is a residual.
Measured: the window must last a quarter second at every rate (at 48 kHz, 4096 samples lose 7 dB of SI-SDR).
"""

import hashlib
import importlib.metadata

import numpy as np

BACKEND, LICENCE, COST, CHANNELS = "hpss_residual", "ISC (librosa)", 0.07, 1
WINDOW_S = 0.256  # long enough to part the harmonics of held notes; 4096 samples at 16 kHz
KERNEL = 31
MARGIN = (1.0, 3.0)  # harmonic mask as usual; percussive three times stricter, so that it takes nothing from the rest


def split(audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Float32 samples (n,) at any rate in Hz -> (voice, background), both (n,), which add up to the input."""
    import librosa

    window = round(WINDOW_S * rate / 256) * 256
    if len(audio) < window:
        return audio.copy(), np.zeros_like(audio)
    spectrum = librosa.stft(audio, n_fft=window, hop_length=window // 4)
    harmonic, _ = librosa.decompose.hpss(spectrum, kernel_size=KERNEL, margin=MARGIN)
    background = librosa.istft(harmonic, n_fft=window, hop_length=window // 4, length=len(audio)).astype(np.float32)
    return audio - background, background


def digest() -> str:
    """Of librosa's version: a formula has no weights."""
    return hashlib.sha256(f"librosa=={importlib.metadata.version('librosa')}".encode()).hexdigest()
