"""The flash attention of torch for CPUs, which `scaled_dot_product_attention` takes there."""

import torch

from trainer.model.kernels.dense import PerDocument, Three


def _one(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)  # type: ignore[no-any-return]


def _one_backward(
    gradient: torch.Tensor, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, out: torch.Tensor, logs: torch.Tensor
) -> Three:
    grads = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
        gradient, q, k, v, out, logs, 0.0, False
    )
    return grads  # type: ignore[no-any-return]


KERNEL = PerDocument(_one, _one_backward)
