"""The audio codecs: MDCT is exact and orthonormal, log-mel is heard again nearly as it was."""

import numpy as np
import pytest
import torch

from manifests.errors import ConfigError
from trainer.codecs import audio_codec
from trainer.codecs.fidelity import band_limit, log_spectral_distance, snr
from trainer.codecs.mdct import Mdct

RATE = 44_100


def _voice(length: int = 30_000) -> np.ndarray:
    """A gliding harmonic tone with a beat and a little noise, deterministic."""
    t = np.arange(length) / RATE
    phase = 2 * np.pi * (180 * t + 60 * t**2)
    tone = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.6 + 0.4 * np.sin(2 * np.pi * 5 * t))
    return (0.1 * tone + 0.003 * np.random.default_rng(0).standard_normal(length)).astype(np.float32)


@pytest.mark.parametrize("length", [1, 1023, 1024, 1025, 30_000])
def test_mdct_with_all_coefficients_is_exact_at_every_length(length: int) -> None:
    samples, codec = _voice(length), Mdct(1024)
    latents = codec.encode(samples)
    assert latents.shape == (-(-length // 1024), 1024)
    np.testing.assert_allclose(codec.decode(latents, length), samples, rtol=0, atol=1e-6)
    assert float((latents**2).sum()) == pytest.approx(float((samples**2).sum()), rel=1e-5)


def test_mdct_is_orthonormal_so_that_decode_is_its_adjoint() -> None:
    rows = torch.randn(6, 256, generator=torch.Generator().manual_seed(1))
    codec = Mdct()
    torch.testing.assert_close(codec.encode(codec.decode(rows, 6 * 1024)), rows, rtol=0, atol=1e-5)


def test_mdct_gathers_a_tone_in_few_coefficients() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(20 * 1024) / RATE).astype(np.float32)
    inner = audio_codec("mdct").encode(tone)[2:-2]
    peak = int((inner**2).sum(0).argmax())
    assert peak == int(1000 / (RATE / 2 / 1024))
    assert float((inner[:, peak - 3 : peak + 4] ** 2).sum() / (inner**2).sum()) > 0.999


def test_mdct_keeps_what_lies_below_5_5_khz() -> None:
    samples = band_limit(_voice(), 5_300)
    codec = audio_codec("mdct")
    assert snr(samples, codec.decode(codec.encode(samples), len(samples))) > 40


@pytest.mark.parametrize("length", [700, 1024, 30_000])
def test_logmel4_shapes_and_distance(length: int) -> None:
    samples, codec = _voice(length), audio_codec("logmel4")
    latents = codec.encode(samples)
    assert latents.shape == (-(-length // 1024), codec.CHANNELS) == (-(-length // 1024), 320)
    decoded = codec.decode(latents, length)
    assert decoded.shape == samples.shape and decoded.dtype == np.float32
    assert log_spectral_distance(samples, decoded) < 2.5
    assert (codec.decode(latents, length) == decoded).all()


def test_logmel4_of_silence_is_silence() -> None:
    codec = audio_codec("logmel4")
    decoded = codec.decode(codec.encode(np.zeros(5000, np.float32)), 5000)
    assert np.abs(decoded).max() < 1e-3


def test_a_click_lands_in_its_own_frame() -> None:
    samples = np.zeros(8 * 1024, np.float32)
    samples[3 * 1024 + 2 * 256 + 128] = 1.0
    frames = audio_codec("logmel4").encode(samples).reshape(-1, 80)
    assert int(frames.mean(1).argmax()) == 3 * 4 + 2


def test_log_spectral_distance_of_a_gain_is_that_gain() -> None:
    samples = _voice()
    assert log_spectral_distance(samples, samples) == 0
    assert log_spectral_distance(samples, samples / 2, -90) == pytest.approx(6.02, abs=0.3)


def test_unknown_codec_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match="logmel4"):
        audio_codec("opus")
