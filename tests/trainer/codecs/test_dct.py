"""The causal DCT codec: exact on what it keeps, causal, and a still is a still."""

import numpy as np
import pytest
import torch

from manifests.errors import ConfigError
from trainer.codecs import video_codec
from trainer.codecs.dct import CHANNELS, CausalDct, kept
from trainer.codecs.fidelity import psnr


def _soft(frames: int, height: int = 32, width: int = 48) -> np.ndarray:
    """A slowly moving soft pattern."""
    t, y, x = np.meshgrid(np.arange(frames), np.arange(height), np.arange(width), indexing="ij")
    red = np.sin((x + t / 2) / 9) * np.cos(y / 7)
    return np.stack([127 + 50 * red, 120 + 40 * np.cos(x / 11 - t / 20), 110 + 30 * red], -1).round().astype(np.uint8)


def test_shapes_and_fidelity_on_a_soft_moving_pattern() -> None:
    codec = video_codec("dct")
    frames = _soft(17)
    latents = codec.encode(frames)
    assert latents.shape == (3, 2, 3, codec.CHANNELS) and latents.dtype == torch.float32
    decoded = codec.decode(latents)
    assert decoded.shape == frames.shape and decoded.dtype == np.uint8
    assert psnr(frames, decoded) > 40


def test_synthesis_is_the_inverse_on_kept_coefficients() -> None:
    codec = CausalDct(deblocking=False)
    latents = torch.randn(3, 2, 2, CHANNELS, generator=torch.Generator().manual_seed(0)) * 0.02
    latents[0, ..., [c[1] > 0 for c in kept()]] = 0
    latents[..., 0] += 3
    pixels = (codec.synthesise(latents) + 1) * 127.5
    rounded = codec.encode(pixels.round().clamp(0, 255).to(torch.uint8).numpy())
    # Rounding to uint8 is white noise of deviation 0.29 / 127.5 a pixel (and 8 ** 0.5 times that in held latent 0).
    assert (rounded - latents).abs().max() < 0.06
    assert (rounded - latents)[1:].std() < 0.003


def test_latent_0_is_frame_0_alone_and_later_frames_reach_no_earlier_latent() -> None:
    codec = CausalDct()
    frames, other = _soft(25), _soft(25)
    other[9:] = 255 - other[9:]
    first, second = codec.encode(frames), codec.encode(other)
    torch.testing.assert_close(first[:2], second[:2], rtol=0, atol=0)
    torch.testing.assert_close(codec.encode(frames[:1]), first[:1])
    assert (codec.decode(first[:1])[0] == codec.decode(first)[0]).all()


def test_a_still_gives_equal_latents() -> None:
    latents = CausalDct().encode(np.repeat(_soft(1), 17, 0))
    torch.testing.assert_close(latents[1:], latents[:1].expand(2, -1, -1, -1), rtol=0, atol=1e-4)
    temporal = [i for i, c in enumerate(kept()) if c[1] > 0]
    assert latents[..., temporal].abs().max() < 1e-4


def test_kept_channels_are_128_low_frequencies_of_each_plane() -> None:
    assert len(set(kept())) == CHANNELS == 128
    assert [sum(c[0] == plane for c in kept()) for plane in range(3)] == [96, 16, 16]
    assert CausalDct.SCALING.whitened == (0, 96, 112)


@pytest.mark.parametrize("shape", [(8, 32, 32, 3), (9, 40, 32, 3), (9, 32, 20, 3)])
def test_a_wrong_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match="8k"):
        CausalDct().encode(np.zeros(shape, np.uint8))


def test_deblocking_shrinks_steps_at_cell_borders_and_leaves_ramps_alone() -> None:
    ramp = torch.linspace(-1, 1, 64).repeat(1, 32, 1)[..., None]
    from trainer.codecs.deblock import deblock

    torch.testing.assert_close(deblock(ramp, 16), ramp, rtol=0, atol=1e-6)
    step = torch.zeros(1, 32, 32, 1)
    step[:, :, 16:] = 0.02
    smooth = deblock(step, 16)
    assert (smooth[0, 0, 16] - smooth[0, 0, 15]).abs() < 0.006
    assert smooth[..., :12, :].abs().max() == 0


def test_unknown_codec_names_what_there_is() -> None:
    with pytest.raises(ConfigError, match="there are 'dct' and 'wan'"):
        video_codec("vp9")
