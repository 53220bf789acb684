"""The ways to split a mix into voice and background, by the name a preset gives them."""

from collections.abc import Callable

import numpy as np

from captioners.separate import deepfilternet, hpss_residual
from manifests.errors import ConfigError

SPLITTERS: dict[str, Callable[[np.ndarray, int], tuple[np.ndarray, np.ndarray]]] = {
    "hpss_residual": hpss_residual.split,
    "deepfilternet": deepfilternet.split,
}


def split(backend: str, audio: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray]:
    """Split float32 samples (n,) at `rate` Hz into (voice, background); raises ConfigError for an unknown backend."""
    check(backend)
    return SPLITTERS[backend](audio, rate)


def check(backend: str) -> None:
    """Raise ConfigError unless `backend` is known."""
    if backend not in SPLITTERS:
        raise ConfigError("config:backend", f"separator {backend!r} is unknown; use one of {sorted(SPLITTERS)}")
