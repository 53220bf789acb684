"""Which kernel attends: by name, or the one that suits the device."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Protocol

import torch

from manifests.errors import ConfigError

KERNELS: Mapping[str, str] = {
    "math": "the products written out, in float32: the reference, for any device; memory grows with the square",
    "cpu": "torch's flash attention for CPUs, one call a document",
    "cudnn": "cuDNN's fused attention, one call a document: the fastest for few long documents on H100 and H200",
    "flash": "torch's FlashAttention 2, one call a document",
    "varlen": "torch's FlashAttention 2, one call for all documents: for many short ones",
    "efficient": "torch's memory-efficient attention, one call a document: float32 on a GPU",
    "flex": "FlexAttention with a block mask of documents, compiled on a GPU",
}


class Kernel(Protocol):
    """What computes `klear::attend`; shapes as there. lengths: of the documents, none 0."""

    def forward(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, lengths: Sequence[int]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Out, and the log-sum-exp of every row and head: float32 (heads * N,), in an order of its own."""
        ...

    def backward(
        self,
        gradient: torch.Tensor,
        q: torch.Tensor,
        k: torch.Tensor,
        v: torch.Tensor,
        out: torch.Tensor,
        statistics: torch.Tensor,
        lengths: Sequence[int],
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The gradients of q, k and v."""
        ...


_LOADED: dict[str, Kernel] = {}


def kernel_named(name: str) -> Kernel:
    """The kernel; raises ConfigError naming them all."""
    if name not in _LOADED:
        if name not in KERNELS:
            raise ConfigError("config:attention", f"no attention kernel {name!r}; there are {', '.join(KERNELS)}")
        _LOADED[name] = import_module(f"trainer.model.kernels.{name}").KERNEL
    return _LOADED[name]


def pick(name: str, device: torch.device, dtype: torch.dtype) -> str:
    """A name in `KERNELS` for `auto` or a name, on this device with queries of this dtype.

    Raises ConfigError for a kernel that the device or the dtype has not.
    """
    on_gpu = device.type == "cuda"
    half = dtype in {torch.bfloat16, torch.float16}
    if name == "auto" and on_gpu and torch.are_deterministic_algorithms_enabled():
        return "flash" if half else "math"  # cuDNN's and the efficient kernel's gradients add up in any order
    if name == "auto":
        return ("cudnn" if half else "efficient") if on_gpu else "cpu"
    if name not in KERNELS:
        raise ConfigError("config:attention", f"attention = {name!r}; there are auto, {', '.join(KERNELS)}")
    if not on_gpu and name in {"cudnn", "flash", "varlen", "efficient", "flex"}:
        raise ConfigError("config:attention", f"attention = {name!r} needs a CUDA device: set attention=auto")
    if on_gpu and name == "cpu":
        raise ConfigError("config:attention", "attention = 'cpu' on a CUDA device: set attention=auto")
    if on_gpu and not half and name in {"cudnn", "flash", "varlen"}:
        raise ConfigError("config:attention", f"attention = {name!r} needs precision=bf16: set attention=auto")
    return name
