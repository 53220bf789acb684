"""FlexAttention with a block mask of documents. Its gradient makes the forward pass again: here to compare with."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, create_block_mask, flex_attention

from trainer.model.kernels.dense import Three


class Flex:
    """See `trainer.model.kernels.switch.Kernel`."""

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `klear::attend`. Its statistics are not kept."""
        kept = q.new_zeros(q.shape[0] * q.shape[1], dtype=torch.float32)
        return (_run(q, k, v, lengths).contiguous() if lengths else torch.zeros_like(q)), kept

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
        """See `klear::attend_backward`."""
        if not lengths:
            return torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        with torch.enable_grad():
            q, k, v = (x.detach().requires_grad_() for x in (q, k, v))
            again = _run(q, k, v, lengths)
        first, second, third = torch.autograd.grad(again, (q, k, v), gradient)
        return first.contiguous(), second.contiguous(), third.contiguous()


def _run(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]) -> torch.Tensor:
    inputs: list[Any] = [x.transpose(0, 1)[None] for x in (q, k, v)]
    out = _flex(q.device.type)(*inputs, block_mask=_mask(tuple(lengths), q.device))
    return out[0].transpose(0, 1)


@cache
def _flex(kind: str) -> Callable[..., torch.Tensor]:
    return torch.compile(flex_attention, dynamic=True) if kind == "cuda" else flex_attention  # type: ignore[return-value]


_MASKS: dict[tuple[tuple[int, ...], torch.device], BlockMask] = {}
_MOST_MASKS = 32


def _mask(lengths: tuple[int, ...], device: torch.device) -> BlockMask:
    """Who may see whom; the last few masks are kept, since all layers of a micro-batch share one."""
    found = _MASKS.get((lengths, device))
    if found is None:
        owner = torch.repeat_interleave(torch.tensor(lengths)).to(device)

        def same(batch: torch.Tensor, head: torch.Tensor, row: torch.Tensor, column: torch.Tensor) -> torch.Tensor:
            return owner[row] == owner[column]

        found = create_block_mask(same, None, None, len(owner), len(owner), device=str(device))
        while len(_MASKS) >= _MOST_MASKS:
            _MASKS.pop(next(iter(_MASKS)))
        _MASKS[lengths, device] = found
    return found


KERNEL = Flex()
