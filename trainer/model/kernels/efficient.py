"""The memory-efficient attention of torch, which takes float32 on a GPU."""

import torch

from trainer.model.kernels.dense import PerDocument, Three


def _one(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    found = torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True)
    return found[0], found[1][..., : q.shape[2]]  # its statistics are padded to a multiple of 32 rows


def _one_backward(
    gradient: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, logs: torch.Tensor
) -> Three:
    random = torch.empty((), dtype=torch.int64, device=q.device)  # of dropout, which there is none of
    padded = torch.nn.functional.pad(logs, (0, -logs.shape[-1] % 32), value=float("inf"))
    grads = torch.ops.aten._scaled_dot_product_efficient_attention_backward(
        gradient, q, k, v, None, out, padded, random, random, 0.0, [True, True, True, False]
    )
    return grads[:3]  # type: ignore[no-any-return]


KERNEL = PerDocument(_one, _one_backward)
