"""Initial weights. Call after the model has storage (`to_empty` on a meta-device model, or at once)."""

import math
from collections.abc import Callable
from hashlib import blake2b

import torch
from torch import nn
from torch.distributed.tensor import DTensor, distribute_tensor

from trainer.model.mmdit import MMDiT

STD = 0.02


@torch.no_grad()
def init_weights(model: MMDiT, seed: int) -> None:
    """Truncated normal (0.02) weights and zero biases; AdaLN outputs and heads zero; residual outputs / sqrt(2 L).

    Every block is then the identity and the network's output is 0. Queries and keys have biases of 1: with equal
    content RoPE alone decides, so attention starts out local, which a small model on few clips would take its whole
    training to find.

    The values of a parameter are a function of (seed, its name) on one kind of device: however the model is sharded,
    each process makes whole parameters, one at a time, and keeps its part.
    """
    for name, parameter in model.named_parameters():
        _fill(parameter, _values(name, model, seed))


def _values(name: str, model: MMDiT, seed: int) -> Callable[[torch.Tensor], None]:
    """What fills the parameter of this name, given in full."""
    zero = any(part in name for part in (".modulation.", ".lora_B.")) and ".down." not in name
    last = name.startswith("heads.") and ".modulation." not in name
    if zero or last or (name.endswith(".bias") and not name.endswith(".qkv.bias")):
        return _zero
    if name.endswith(".qkv.bias"):
        return lambda full: _bias(full, 2 * model.config.width)
    if "norm_qk" in name:
        return lambda full: _constant(full, 1.0)
    if ".lora_A." in name:
        return lambda full: _normal(full, (3 * full.shape[1]) ** -0.5, f"{seed}/{name}")
    shrink = math.sqrt(2 * model.config.layers) if name.endswith((".out.weight", ".ffn_out.weight")) else 1.0
    return lambda full: _normal(full, STD / shrink, f"{seed}/{name}")


def _fill(parameter: nn.Parameter, values: Callable[[torch.Tensor], None]) -> None:
    data = parameter.data
    if isinstance(data, DTensor):
        full = torch.empty(data.shape, dtype=data.dtype, device=data.device)
        values(full)
        # No process sends: each cuts its own part out of what it made.
        part = distribute_tensor(full, data.device_mesh, data.placements, src_data_rank=None)
        data.to_local().copy_(part.to_local())
    else:
        values(data)


def _normal(full: torch.Tensor, std: float, key: str) -> None:
    number = int.from_bytes(blake2b(key.encode(), digest_size=7).digest(), "big")
    generator = torch.Generator(device=full.device).manual_seed(number)
    nn.init.trunc_normal_(full, std=std, a=-3 * std, b=3 * std, generator=generator)


def _zero(full: torch.Tensor) -> None:
    full.zero_()


def _constant(full: torch.Tensor, value: float) -> None:
    full.fill_(value)


def _bias(full: torch.Tensor, ones: int) -> None:
    full.zero_()
    full[:ones] = 1.0
