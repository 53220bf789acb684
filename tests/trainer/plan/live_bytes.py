"""Counts the bytes of tensors that are alive: what a GPU's allocator would hold, on any device."""

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_WORTH = 1 << 16
"""Bytes of a new tensor from which on it is worth adding everything up again."""


class LiveBytes(TorchDispatchMode):
    """Use as a context. now: bytes of the storages made inside and still alive. peak: the most there were.

    Counted where operators return: what one allocates and frees inside itself is not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    @property
    def now(self) -> int:
        """Forget what died, and add up the rest."""
        self._alive = {key: kept for key, kept in self._alive.items() if not kept[0].expired()}
        return sum(size for _, size in self._alive.values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        known = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        grown = 0
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in known:
                    self._alive[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
                    grown = max(grown, storage.nbytes())
        if grown >= _WORTH:
            self.peak = max(self.peak, self.now)
        return out
