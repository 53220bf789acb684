"""Kernels whose results do not change from run to run: for debugging and for exact comparisons, at some speed."""

import os

import torch

REPEATING_ATTENTION = ("auto", "math", "cpu", "flash")
"""Kernels whose gradients do not depend on the order in which blocks end."""


def make_deterministic() -> None:
    """Choose deterministic kernels, and have torch raise for an operation that has none. Call it before CUDA starts.

    The same processes then give the same bits, resumed or not. The attention kernel `auto` sees to itself (`pick`).
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
