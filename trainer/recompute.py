"""Activation checkpointing: what a block keeps of its forward pass, and what it makes again for the backward pass."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from trainer.model.fused.multiply import MULTIPLY_EACH

Recompute = Literal["none", "selective", "attention", "full"]

_ATTENTION = frozenset({torch.ops.klear.attend.default})
"""What `attention` keeps. A result of N tokens a document costs 2 N FLOPs a byte to make again (bf16), where that of a
product of width d costs d: at 26,000 tokens and a width of 4,096 nothing else is nearly as dear."""

_PRODUCTS = _ATTENTION | frozenset(
    {
        torch.ops.aten.mm.default,
        torch.ops.aten.addmm.default,
        torch.ops.aten.linear.default,
        torch.ops.aten._scaled_mm.default,
        MULTIPLY_EACH,
        torch.ops._c10d_functional.all_to_all_single.default,
    }
)
"""What `selective` keeps: attention, matrix products, exchanges: nearly all of the time."""


def recomputing(run: Callable[..., Any], kind: Recompute, random: bool = False) -> Callable[..., Any]:
    """`run` with less kept. `full`: only its inputs; `attention`: also attention's result; `selective`: also those of
    its products, so that only elementwise work is done again. random: it draws numbers (LoRA's dropout), which must be
    the same again.
    """
    if kind == "none":
        return run
    more: dict[str, Any] = {}
    if kind != "full":
        policy = partial(_keep, _PRODUCTS if kind == "selective" else _ATTENTION)
        more = {"context_fn": partial(create_selective_checkpoint_contexts, policy)}
    return partial(checkpoint, run, use_reentrant=False, preserve_rng_state=random, **more)


def _keep(kept: frozenset[Any], _: Any, operator: Any, *__: Any, **___: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if operator in kept else CheckpointPolicy.PREFER_RECOMPUTE
