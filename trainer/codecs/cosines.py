"""The cosine bases the embedded codecs are made of, as matrices with orthonormal rows."""

import torch


def dct2(size: int) -> torch.Tensor:
    """The orthonormal DCT-II: float64 (size, size); row f is frequency f."""
    place = torch.arange(size, dtype=torch.float64) + 0.5
    basis = torch.cos(torch.pi / size * torch.arange(size, dtype=torch.float64)[:, None] * place)
    basis[0] /= 2**0.5
    return basis * (2 / size) ** 0.5


def dct4(size: int) -> torch.Tensor:
    """The orthonormal DCT-IV, its own inverse: float64 (size, size); row f is frequency f + 1/2."""
    place = torch.arange(size, dtype=torch.float64) + 0.5
    return torch.cos(torch.pi / size * place[:, None] * place) * (2 / size) ** 0.5
