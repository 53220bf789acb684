"""The optimizer and its schedule."""

import math

import torch
from torch import nn

from trainer.settings import OptimSettings, StageSettings
from trainer.trainable import trainable


def make_optimizer(model: nn.Module, settings: OptimSettings) -> torch.optim.AdamW:
    """Fused AdamW: decay on matrices; none on norms, biases, embeddings and nulls (their rows are not matrices)."""
    bare = {id(m.weight) for m in model.modules() if isinstance(m, nn.Embedding)}
    decayed: list[nn.Parameter] = []
    plain: list[nn.Parameter] = []
    for name, parameter in trainable(model).items():
        kept = parameter.dim() < 2 or id(parameter) in bare or "norm" in name
        (plain if kept else decayed).append(parameter)
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1.0, betas=settings.betas, fused=True)


def learning_rate(stage: StageSettings, step: int) -> float:
    """Of the update number `step`, from 0: linear warm-up, then a cosine from lr down to lr * final_lr."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    progress = (step - stage.warmup) / max(1, stage.steps - 1 - stage.warmup)
    low = stage.lr * stage.final_lr
    return low + (stage.lr - low) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def update(model: nn.Module, optimizer: torch.optim.Optimizer, lr: float, clip: float) -> torch.Tensor:
    """Clip, step, clear. Returns the gradient norm before clipping, a scalar still on the device.

    Parameters that got no gradient (the text rows of the last block reach no loss) get zeros, so that the optimizer's
    state has every parameter, on every rank and in every checkpoint.
    """
    for parameter in trainable(model).values():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    norm = nn.utils.clip_grad_norm_(model.parameters(), clip, foreach=True)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm.full_tensor() if hasattr(norm, "full_tensor") else norm
