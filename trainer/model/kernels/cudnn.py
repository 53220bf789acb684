"""The fused attention of cuDNN. It builds a plan for every new length (40-400 ms on an H100): lengths should repeat."""

import torch

from trainer.model.kernels.dense import PerDocument, Three


def _one(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = torch.ops.aten._scaled_dot_product_cudnn_attention(q, k, v, None, True)
    return found[0], found[1]


def _one_backward(
    gradient: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, logs: torch.Tensor
) -> Three:
    random = torch.empty(1, dtype=torch.int64, device=q.device)  # of dropout, which there is none of
    size = q.shape[2]
    grads = torch.ops.aten._scaled_dot_product_cudnn_attention_backward(
        gradient, q, k, v, out, logs[..., None], random, random, None, None, None, size, size, 0.0, False
    )
    return grads  # type: ignore[no-any-return]


KERNEL = PerDocument(_one, _one_backward)
