"""`dct`: a causal video codec without weights, shaped like a causal VAE (16 x 16 pixels, 8 frames, 128 channels).

Latent k >= 1 is the 3-D DCT (8 x 16 x 16, orthonormal) of frames 8k - 7 .. 8k in YCbCr, of which the 128 lowest
coefficients are kept. Latent 0 is frame 0 alone: the same transform of frame 0 held for 8 frames. Its coefficients of
temporal frequency 0 are then the frame's 2-D DCT times sqrt(8), on the scale of every other latent, and its other
channels are exactly 0. So one channel means one thing in every latent, and a still followed by its own copies gives
equal latents.
"""

from functools import cache

import numpy as np
import torch

from manifests.errors import ConfigError
from trainer.codecs.cosines import dct2
from trainer.codecs.deblock import deblock
from trainer.codecs.stats import Scaling

FRAMES, SIDE, PLANES, CHANNELS = 8, 16, 3, 128

# Full-range BT.601 (JPEG): rows are Y, Cb, Cr.
_TO_YCBCR = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))


@cache
def kept() -> tuple[tuple[int, int, int, int], ...]:
    """The kept coefficients (plane, t, y, x) in channel order: the 128 lowest by weighted L1 radius.

    The radius is (4t + y + x), twice that for Cb and Cr; ties go to Y, then to low t. Channels run by plane, then
    radius: 96 of Y (66, 27 and 3 at t = 0, 1, 2) and 16 of Cb and Cr each (15, 1); 96 in all have t = 0.
    The weights lie on the flat optimum of PSNR over 17 real clips at 128x80 and 256x144, 0.4 and 0.2 dB under the 128
    coefficients of most energy on those very clips.
    """
    every = ((p, t, y, x) for p in range(PLANES) for t in range(FRAMES) for y in range(SIDE) for x in range(SIDE))
    low = sorted(every, key=lambda c: (_radius(c), c))[:CHANNELS]
    return tuple(sorted(low, key=lambda c: (c[0], _radius(c), c)))


def _radius(coefficient: tuple[int, int, int, int]) -> int:
    plane, t, y, x = coefficient
    return (4 * t + y + x) * (2 if plane else 1)


@cache
def _basis() -> torch.Tensor:
    """Float32 (PLANES * FRAMES * SIDE * SIDE, CHANNELS) with orthonormal columns."""
    time, side = dct2(FRAMES), dct2(SIDE)
    basis = torch.zeros(PLANES, FRAMES, SIDE, SIDE, CHANNELS, dtype=torch.float64)
    for channel, (plane, t, y, x) in enumerate(kept()):
        basis[plane, ..., channel] = time[t, :, None, None] * side[y, :, None] * side[x]
    return basis.reshape(-1, CHANNELS).float()


class CausalDct:
    """The `dct` codec. Analysis and synthesis are one orthonormal matrix and its transpose, after the colour change.

    deblocking: smooth the steps that dropped coefficients leave at cell borders when decoding.
    """

    NAME = "dct"
    VERSION = 1
    CHANNELS = CHANNELS
    LICENCE = "Apache-2.0 (a formula; no weights)"
    SCALING = Scaling(bend=1.0, power=0.5, whitened=tuple(i for i, c in enumerate(kept()) if c[1:] == (0, 0, 0)))

    def __init__(self, deblocking: bool = True) -> None:
        self.deblocking = deblocking

    def encode(self, frames: np.ndarray) -> torch.Tensor:
        """Uint8 (F, H, W, 3) RGB to float32 (1 + (F - 1) / 8, H/16, W/16, 128), pixels counted from -1 to 1.

        Raises ConfigError unless F = 8k + 1 and H, W are multiples of 16.
        """
        count, height, width = frames.shape[:3]
        if (count - 1) % FRAMES or height % SIDE or width % SIDE:
            raise ConfigError(
                "codec:shape",
                f"{count} frames of {width}x{height}: the dct codec takes 8k + 1 frames, sides in multiples of 16",
            )
        pixels = torch.from_numpy(np.ascontiguousarray(frames)).float() / 127.5 - 1
        planes = pixels @ torch.tensor(_TO_YCBCR).T
        held = torch.cat([planes[:1].expand(FRAMES, -1, -1, -1), planes[1:]])
        return _cells(held) @ _basis()

    def decode(self, latents: torch.Tensor) -> np.ndarray:
        """Float32 (T, h, w, 128) to uint8 (8T - 7, 16h, 16w, 3) RGB."""
        return to_uint8(self.synthesise(latents))

    def synthesise(self, latents: torch.Tensor) -> torch.Tensor:
        """Float32 (T, h, w, 128) to float32 (8T - 7, 16h, 16w, 3) RGB around -1 to 1, not yet clipped or rounded."""
        planes = _uncells(latents.float() @ _basis().T)
        # Latent 0 shows one frame. Its mean over time is its frame when t > 0 is 0, and ignores those channels when a
        # model filled them.
        planes = torch.cat([planes[:FRAMES].mean(0, keepdim=True), planes[FRAMES:]])
        if self.deblocking:
            planes = deblock(planes, SIDE)
        return planes @ torch.linalg.inv(torch.tensor(_TO_YCBCR, dtype=torch.float64)).float().T


def _cells(planes: torch.Tensor) -> torch.Tensor:
    """(8T, 16h, 16w, 3) to (T, h, w, 3 * 8 * 16 * 16)."""
    count, height, width = planes.shape[:3]
    t, h, w = count // FRAMES, height // SIDE, width // SIDE
    cells = planes.reshape(t, FRAMES, h, SIDE, w, SIDE, PLANES).permute(0, 2, 4, 6, 1, 3, 5)
    return cells.reshape(t, h, w, -1)


def _uncells(cells: torch.Tensor) -> torch.Tensor:
    """(T, h, w, 3 * 8 * 16 * 16) to (8T, 16h, 16w, 3)."""
    t, h, w = cells.shape[:3]
    planes = cells.reshape(t, h, w, PLANES, FRAMES, SIDE, SIDE).permute(0, 4, 1, 5, 2, 6, 3)
    return planes.reshape(t * FRAMES, h * SIDE, w * SIDE, PLANES)


def to_uint8(pixels: torch.Tensor) -> np.ndarray:
    """Float pixels around -1 to 1, clipped and rounded to uint8."""
    return np.asarray(((pixels + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).numpy())
