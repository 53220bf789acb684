"""Our mel banks against librosa's."""

import numpy as np
import pytest

from filters.audio.mel import mel_bank


@pytest.mark.parametrize("slaney", [False, True])
@pytest.mark.parametrize(
    ("fft", "bands", "low", "high"), [(512, 64, 125, 7500), (321, 120, 0, 8000), (256, 16, 100, 8000)]
)
def test_equal_to_librosa(fft: int, bands: int, low: float, high: float, slaney: bool) -> None:
    import librosa

    norm = "slaney" if slaney else None
    theirs = librosa.filters.mel(sr=16_000, n_fft=fft, n_mels=bands, fmin=low, fmax=high, htk=not slaney, norm=norm)
    np.testing.assert_allclose(mel_bank(16_000, fft, bands, low, high, slaney), theirs, atol=1e-6)
