"""Video tokens that cover p x p latent cells: the same latents in a quarter (p = 2) of the rows."""

import torch

from manifests.errors import ConfigError

CELL = 16
"""Pixels along the side of one video latent cell."""


def grid_of(cells: tuple[int, int, int], patch: int) -> tuple[int, int, int]:
    """Tokens (T, H / p, W / p) of latents of (T, H, W) cells. Raises ConfigError when p does not divide the picture."""
    latents, height, width = cells
    if height % patch or width % patch:
        raise ConfigError(
            "config:patch",
            f"model.patch = {patch} needs a picture of a multiple of {patch} cells each way; {width} x {height} cells "
            f"({width * CELL} x {height * CELL} pixels) are not: encode at {_near(width, patch)} x "
            f"{_near(height, patch)} pixels, or set model.patch=1",
        )
    return latents, height // patch, width // patch


def patchify(video: torch.Tensor, patch: int) -> torch.Tensor:
    """(T, H, W, C) -> (T, H / p, W / p, p p C): the cells of a patch row by row, channels innermost.

    Raises ConfigError as `grid_of` does.
    """
    if patch == 1:
        return video
    latents, height, width = grid_of(tuple(video.shape[:3]), patch)  # type: ignore[arg-type]
    channels = video.shape[3]
    cells = video.reshape(latents, height, patch, width, patch, channels)
    return cells.transpose(2, 3).reshape(latents, height, width, patch**2 * channels)


def unpatchify(rows: torch.Tensor, cells: tuple[int, int, int], patch: int) -> torch.Tensor:
    """Video rows (n, p p C) of latents of (T, H, W) cells back to (T, H, W, C)."""
    latents, height, width = grid_of(cells, patch)
    channels = rows.shape[1] // patch**2
    pieces = rows.reshape(latents, height, width, patch, patch, channels)
    return pieces.transpose(2, 3).reshape(*cells, channels)


def _near(cells: int, patch: int) -> int:
    """Pixels of the nearest size that patches divide, at least one patch."""
    return max(1, round(cells / patch)) * patch * CELL
