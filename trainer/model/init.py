"""Initial weights. Call after the model has storage (`to_empty` on a meta-device model, or at once)."""

import math

import torch
from torch import nn

from trainer.model.mmdit import MMDiT
from trainer.model.modulation import Modulation
from trainer.model.norms import QKNorm

STD = 0.02


@torch.no_grad()
def init_weights(model: MMDiT, seed: int) -> None:
    """Truncated normal (0.02) weights and zero biases; AdaLN outputs and heads zero; residual outputs / sqrt(2 L).

    Every block is then the identity and the network's output is 0. The same seed gives the same weights. Queries and
    keys have biases of 1: with equal content RoPE alone decides, so attention starts out local, which a small model on
    few clips would take its whole training to find.
    """
    generator = torch.Generator(device=next(model.parameters()).device).manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding | nn.Conv1d):
            _init_layer(module, generator)
        elif isinstance(module, QKNorm):
            module.weight.fill_(1.0)
    for name, parameter in model.named_parameters():
        if name.endswith((".out.weight", ".ffn_out.weight")):
            parameter.div_(math.sqrt(2 * model.config.layers))
        if name.endswith(".qkv.bias"):
            parameter[: 2 * model.config.width] = 1.0
    for module in model.modules():
        if isinstance(module, Modulation):
            _zero(module.up)
    for head in model.heads.values():
        _zero(head.project)  # type: ignore[arg-type]
        _zero(head.skip)  # type: ignore[arg-type]


def _init_layer(module: nn.Linear | nn.Embedding | nn.Conv1d, generator: torch.Generator) -> None:
    nn.init.trunc_normal_(module.weight, std=STD, a=-3 * STD, b=3 * STD, generator=generator)
    bias = getattr(module, "bias", None)
    if bias is not None:
        bias.zero_()


def _zero(layer: nn.Linear) -> None:
    layer.weight.zero_()
    layer.bias.zero_()
