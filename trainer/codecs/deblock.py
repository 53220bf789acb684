"""A weak deblocking filter: a codec that drops high frequencies leaves steps where its cells meet."""

import torch

REACH = 4
LIMIT = 0.02
"""Best PSNR of 0.01 .. 0.3, both on decoded real clips (+0.02 dB) and on generated ones (+0.06 dB)."""


def deblock(planes: torch.Tensor, side: int, limit: float = LIMIT) -> torch.Tensor:
    """Float (F, H, W, C), pixels counted from -1 to 1, smoothed across the borders of its side x side cells.

    limit: the largest step, in pixel units, taken for an artefact in full; a real edge is larger and only dented.
    The form is that of the weak filter of H.264/HEVC (clip the step, spread its halves), made linear over 4 pixels.
    """
    return _across(_across(planes, 1, side, limit), 2, side, limit)


def _across(planes: torch.Tensor, axis: int, side: int, limit: float) -> torch.Tensor:
    """Filter the borders between cells along one axis."""
    if planes.shape[axis] <= side:
        return planes
    lines = planes.movedim(axis, -1).clone()
    border = torch.arange(side, lines.shape[-1], side)
    before, after = lines[..., border - 1], lines[..., border]
    slope = (before - lines[..., border - 2] + lines[..., border + 1] - after) / 2
    step = (after - before - slope).clamp(-limit, limit)
    for reach in range(REACH):
        share = (1 - (reach + 0.5) / REACH) / 2
        lines[..., border - 1 - reach] += share * step
        lines[..., border + reach] -= share * step
    return lines.movedim(-1, axis)
