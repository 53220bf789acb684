"""Weights in the dtype that the passes use them in."""

import torch
from torch import nn

from trainer.model.mmdit import MMDiT
from trainer.model.modulation import Modulation, SigmaEmbedding


def cast_products(model: MMDiT, precision: str) -> MMDiT:
    """Under bf16, cast once the weights that autocast would cast at every pass: same bits, half of their memory.

    In place; for models that are trained no more. Modulation, norms and embeddings are used in float32 and stay so.
    """
    if precision != "bf16":
        return model
    exact = {
        part for whole in model.modules() if isinstance(whole, Modulation | SigmaEmbedding) for part in whole.modules()
    }
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv1d) and module not in exact:
            module.to(torch.bfloat16)
    return model
