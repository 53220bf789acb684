"""The FlashAttention 2 of torch for packed documents: one call for all of them."""

from collections.abc import Sequence

import torch

from trainer.model.kernels.dense import Three


class Varlen:
    """See `trainer.model.kernels.switch.Kernel`."""

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `klear::attend`."""
        if not lengths:
            return torch.zeros_like(q), q.new_zeros(0, dtype=torch.float32)
        ends, longest = _ends(lengths, q.device), max(lengths)
        found = torch.ops.aten._flash_attention_forward(q, k, v, ends, ends, longest, longest, 0.0, False, False)
        return found[0], found[1].reshape(-1)

    def backward(
        self,
        gradient: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        out: torch.Tensor,
        statistics: torch.Tensor,
        lengths: Sequence[int],
    ) -> Three:
        """See `klear::attend_backward`. The statistics of this kernel are (heads, N)."""
        if not lengths:
            return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        ends, longest = _ends(lengths, q.device), max(lengths)
        random = torch.empty(2, dtype=torch.uint64, device=q.device)  # of dropout, which there is none of
        logs = statistics.view(q.shape[1], -1)
        grads = torch.ops.aten._flash_attention_backward(
            gradient, q, k, v, out, logs, ends, ends, longest, longest, 0.0, False, random, random[:0]
        )
        return grads  # type: ignore[no-any-return]


def _ends(lengths: Sequence[int], device: torch.device) -> torch.Tensor:
    """Where documents start and end: int32 (D + 1,) on the device, by a copy that nobody waits for."""
    ends = torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32)
    return ends.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ends


KERNEL = Varlen()
