"""Kernels whose results do not change from run to run: for debugging and for exact comparisons, at some speed."""

import os

import torch


def make_deterministic() -> None:
    """Choose deterministic kernels, and have torch raise for an operation that has none. Call it before CUDA starts.

    The same processes then give the same bits, resumed or not. Attention must be `math` as well: flash kernels add
    gradients of keys in whatever order their blocks end.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
