"""MixD-RoPE (paper section 3.2): 3-D rotary positions for video, 1-D for audio and text, on one shared t axis."""

import torch

from trainer.clocks import video_latent_ticks
from trainer.model.config import RopeConfig


def video_positions(latents: int, height: int, width: int, config: RopeConfig) -> torch.Tensor:
    """(latents * height * width, 3) float32 ids (t, h, w), rows in that order.

    t is the latent's index (`append`) or its centre time in audio ticks (`aligned`); h and w are centred on 0, so
    that audio, at h = w = 0, sits on the middle of the picture and not on a corner patch.
    """
    ticks = [float(k) if config.audio == "append" else video_latent_ticks(k) for k in range(latents)]
    rows = torch.arange(height, dtype=torch.float32) - (height - 1) / 2
    columns = torch.arange(width, dtype=torch.float32) - (width - 1) / 2
    return torch.cartesian_prod(torch.tensor(ticks), rows, columns).reshape(-1, 3)


def audio_positions(latents: int, video_latents: int, config: RopeConfig) -> torch.Tensor:
    """(latents, 3) float32 ids (t, 0, 0): T_v + i (`append`), or i ticks (`aligned`).

    video_latents: T_v, the latents that the clip's duration has or would have if its video is absent: an audio
    token's id must not depend on the task.
    """
    start = float(video_latents) if config.audio == "append" else 0.0
    return _on_t_axis(start + torch.arange(latents, dtype=torch.float32))


def text_positions(tokens: int, config: RopeConfig) -> torch.Tensor:
    """(tokens, 3) float32 ids: (i, 0, 0), or all zero when `text` is `zero`."""
    scale = 1.0 if config.text == "1d" else 0.0
    return _on_t_axis(scale * torch.arange(tokens, dtype=torch.float32))


def _on_t_axis(t: torch.Tensor) -> torch.Tensor:
    return torch.stack([t, torch.zeros_like(t), torch.zeros_like(t)], dim=-1)


def rope_table(positions: torch.Tensor, head_dim: int, config: RopeConfig) -> torch.Tensor:
    """(R, 2, head_dim) float32, [cos, cos] and [-sin, sin] of (R, 3) ids; pairs beyond the three axes do not turn.

    Angles are made in float64: at 26 B scale ids reach thousands of ticks.
    """
    angles = [_angles(positions[:, axis], size, config.theta) for axis, size in enumerate(config.axes)]
    still = positions.new_zeros(positions.shape[0], head_dim // 2 - sum(config.axes) // 2, dtype=torch.float64)
    turned = torch.cat([*angles, still], dim=-1)
    cos, sin = turned.cos(), turned.sin()
    return torch.stack([torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)], dim=1).float()


def _angles(ids: torch.Tensor, size: int, theta: float) -> torch.Tensor:
    exponents = torch.arange(0, size, 2, dtype=torch.float64, device=ids.device) / max(size, 1)
    return ids.double()[:, None] * theta**-exponents


def rotate(x: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Turn (R, ..., head_dim) float32 by a (R, 2, head_dim) table; channel i is paired with i + head_dim / 2."""
    shape = (x.shape[0],) + (1,) * (x.dim() - 2) + (x.shape[-1],)
    cos, sin = table[:, 0].reshape(shape), table[:, 1].reshape(shape)
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, dims=-1), sin)
