"""`mdct`: the modified discrete cosine transform, hop 1,024. Exact with all coefficients; 256 kept reach 5.5 kHz.

Time-domain aliasing cancellation (Princen, Johnson and Bradley 1987) written as a lapped orthogonal transform: samples
are folded across each border between hops by rotations of the sine window, then each hop takes a DCT-IV. At the first
and the last border nothing is folded (Edler's window switching), so T hops give T latents, every sample is
reconstructed, and latent i is centred on hop i.
"""

from functools import cache

import numpy as np
import torch

from trainer.codecs.cosines import dct4
from trainer.codecs.stats import Scaling

HOP = 1024


class Mdct:
    """The `mdct` codec. kept: how many of 1,024 coefficients (of 21.5 Hz each) a latent has."""

    NAME = "mdct"
    VERSION = 1
    LICENCE = "Apache-2.0 (a formula; no weights)"
    SCALING = Scaling(bend=4.0, power=1.0)

    def __init__(self, kept: int = 256) -> None:
        self.CHANNELS = kept

    def encode(self, samples: np.ndarray) -> torch.Tensor:
        """Float32 (n,) at 44,100 Hz to float32 (ceil(n / 1024), kept); zeros follow the end. Orthonormal."""
        hops = in_hops(samples).double()
        return (_fold(hops) @ _cosines()[:, : self.CHANNELS]).float()

    def decode(self, latents: torch.Tensor, length: int) -> np.ndarray:
        """Float32 (T, kept) to float32 (length,): the adjoint of `encode`, and its inverse when kept = 1,024."""
        hops = _unfold(latents.double() @ _cosines()[:, : self.CHANNELS].T)
        return np.asarray(hops.reshape(-1)[:length].float().numpy())


def in_hops(samples: np.ndarray) -> torch.Tensor:
    """Float32 (n,) to (ceil(n / 1024), 1024), zeros following the end."""
    flat = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32))
    return torch.nn.functional.pad(flat, (0, -len(flat) % HOP)).reshape(-1, HOP)


@cache
def _cosines() -> torch.Tensor:
    return dct4(HOP)


@cache
def _window() -> tuple[torch.Tensor, torch.Tensor]:
    """Cosine and sine of the rotation at distance j + 1/2 from a border, j = 0 .. 511: float64 (512,) each."""
    angle = torch.pi / 4 * (1 - (torch.arange(HOP // 2, dtype=torch.float64) + 0.5) / (HOP // 2))
    return torch.cos(angle), torch.sin(angle)


def _rotate(hops: torch.Tensor, sign: int) -> torch.Tensor:
    """Rotate each pair of samples at equal distances from an inner border. (T, 1024) to the same; orthonormal.

    DCT-IV continues a hop evenly at its start and oddly at its end: hence + on one side and - on the other.
    """
    near, far = _window()
    half = HOP // 2
    before, after = hops[:-1, half:].flip(-1), hops[1:, :half]
    turned = hops.clone()
    turned[:-1, half:] = (near * before - sign * far * after).flip(-1)
    turned[1:, :half] = near * after + sign * far * before
    return turned


def _fold(hops: torch.Tensor) -> torch.Tensor:
    return _rotate(hops, 1)


def _unfold(hops: torch.Tensor) -> torch.Tensor:
    return _rotate(hops, -1)
