"""Loudness normalisation of mono audio, with the gain kept, so that levels do not cost the model its channels."""

import numpy as np

from trainer.data.media import RATE

_SILENT_LUFS, _SHORTEST_S, _MOST_DB = -70.0, 0.4, 30.0


def normalise_loudness(samples: np.ndarray, target_lufs: float) -> tuple[np.ndarray, float, float | None]:
    """Float32 (n,) at 44,100 Hz brought to `target_lufs` (ITU-R BS.1770-4): samples, gain in dB, LUFS before.

    Silence (under -70 LUFS, LUFS None) and less than 0.4 s keep their level; no gain passes 30 dB either way.
    """
    if len(samples) < _SHORTEST_S * RATE:
        return samples, 0.0, None
    import pyloudnorm

    lufs = float(pyloudnorm.Meter(RATE).integrated_loudness(samples.astype(np.float64)))
    if not lufs > _SILENT_LUFS:
        return samples, 0.0, None
    gain = float(np.clip(target_lufs - lufs, -_MOST_DB, _MOST_DB))
    return (samples * 10 ** (gain / 20)).astype(np.float32), gain, lufs
