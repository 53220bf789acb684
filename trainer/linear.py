"""The yardstick: the loss of the best predictor that sees only x_sigma of its own channel, and no content."""

import torch

from trainer.objective import SIGMA_FLOOR


def linear_loss(variance: torch.Tensor, weights: torch.Tensor, sigma: torch.Tensor, prediction: str) -> torch.Tensor:
    """Expected loss (S,) at each sigma (S,) of the best linear estimate of v from x_sigma, channel by channel.

    variance, weights: (C,), of zero-mean channels and of the loss. With var = variance, per channel:
    min_a E[(v - a x_sigma)^2] = var / ((1 - sigma)^2 var + sigma^2), whose mean over uniform sigma is pi / 2 at
    var = 1. For `x`, the floor shrinks target and estimate below sigma 0.05 alike: (sigma / max(sigma, 0.05))^2.
    """
    s = sigma.double()[:, None]
    loss = variance.double() / ((1 - s).square() * variance.double() + s.square()).clamp_min(1e-12)
    shrink = (sigma / sigma.clamp_min(SIGMA_FLOOR)).double() if prediction == "x" else torch.ones_like(sigma).double()
    return (loss * weights.double()).mean(-1) * shrink.square()


def linear_coefficient(variance: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """The slope a (R, C) of that predictor, v_hat = a x_sigma, for variance (C,) and the sigma of each row (R,)."""
    s = sigma[:, None]
    return (s - (1 - s) * variance) / ((1 - s).square() * variance + s.square()).clamp_min(1e-12)
