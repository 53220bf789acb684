"""A kernel for one document at a time, run over the documents of a packed buffer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

Three = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class PerDocument:
    """`klear::attend` by one dense call a document, which costs no copy for one document where the layout is kept.

    one: (q, k, v), (1, heads, S, head_dim) each -> out of that shape, log-sum-exp (1, heads, S) or (1, heads, S, 1).
    one_backward: (gradient, q, k, v, out, log-sum-exp (1, heads, S)) -> gradients of q, k, v.
    """

    one: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
    one_backward: Callable[..., tuple[torch.Tensor, ...]]

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See `klear::attend`."""
        done = [self.one(*map(_headed, piece)) for piece in zip(*(x.split(lengths) for x in (q, k, v)), strict=True)]
        if not done:
            return torch.zeros_like(q), q.new_zeros(0, dtype=torch.float32)
        return _joined([_rowed(out) for out, _ in done]), torch.cat([lse.reshape(-1) for _, lse in done]).float()

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
        heads = q.shape[1]
        logs = [x.view(1, heads, -1) for x in statistics.split([heads * length for length in lengths])]
        pieces = zip(*(x.split(lengths) for x in (gradient, q, k, v, out)), strict=True)
        found = [self.one_backward(*map(_headed, piece), log) for piece, log in zip(pieces, logs, strict=True)]
        first, second, third = ([_rowed(x[i]) for x in found] for i in range(3))
        return _joined(first), _joined(second), _joined(third)


def _headed(x: torch.Tensor) -> torch.Tensor:
    """(S, heads, head_dim) to (1, heads, S, head_dim), a view."""
    return x.transpose(0, 1)[None]


def _rowed(x: torch.Tensor) -> torch.Tensor:
    return x[0].transpose(0, 1)


def _joined(pieces: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat(pieces) if len(pieces) > 1 else pieces[0].contiguous()
