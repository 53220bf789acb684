"""Latents to tokens and back, for video and for audio."""

from collections.abc import Callable

import torch
from torch import nn

from trainer.model.modulation import Modulation, lookup, modulate
from trainer.model.norms import layer_norm


class MediaEmbed(nn.Linear):
    """One latent cell (R, channels) -> one token (R, width)."""


def normed(tokens: torch.Tensor, table: torch.Tensor, group: torch.Tensor, chunks: torch.Tensor) -> torch.Tensor:
    """LayerNorm and AdaLN of tokens (R, width), by a table (G, 2 * width) and groups (R,), in the tokens' dtype."""
    shift, scale = lookup(table, group, 2)
    return modulate(layer_norm(tokens), shift, scale).to(tokens.dtype)


class MediaHead(nn.Module):
    """AdaLN and a projection to the latent's channels, and beside it a skip: x_sigma times a gain per channel that each
    token chooses, as a Wiener filter does. Wide noisy channels then need not pass through a narrow tower where a gain
    is enough. Both are zero at the start: what the network predicts is then 0.

    normed: set from outside where kernels of ours do that work (`trainer/elementwise.py`).
    """

    def __init__(self, width: int, channels: int, rank: int | None) -> None:
        super().__init__()
        self.modulation = Modulation(width, 2, rank)
        self.project = nn.Linear(width, channels)
        self.skip = nn.Linear(width, channels)
        self.normed: Callable[..., torch.Tensor] = normed

    def forward(
        self,
        tokens: torch.Tensor,
        noisy: torch.Tensor,
        table: torch.Tensor,
        group: torch.Tensor,
        chunks: torch.Tensor,
    ) -> torch.Tensor:
        """Tokens (R, width), x_sigma (R, channels), `modulation`'s table, groups (R,) and their chunks (C, 3) ->
        (R, channels) float32."""
        modulated = self.normed(tokens, table, group, chunks)
        return torch.addcmul(self.project(modulated).float(), self.skip(modulated).float(), noisy)
