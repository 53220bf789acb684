"""What a device can run."""

import os

import torch


def runs_triton(device: torch.device) -> bool:
    """Whether Triton's kernels run there: on CUDA, or wherever TRITON_INTERPRET=1 has its interpreter do it, slowly."""
    return device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1"
