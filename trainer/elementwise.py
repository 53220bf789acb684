"""Who does the elementwise work of a model: torch's operators, or kernels of ours in Triton."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from manifests.errors import ConfigError
from trainer.devices import runs_triton
from trainer.model.block import JointBlock
from trainer.model.mmdit import MMDiT

if TYPE_CHECKING:
    from trainer.parallel import ParallelSettings

Run = Callable[..., Any]


def runner(model: MMDiT, settings: "ParallelSettings", device: torch.device) -> Callable[[JointBlock], Run]:
    """How a block runs; what stands outside of the blocks is seen to here. Raises ConfigError for what cannot be."""
    _check(settings, model.config.shared, device)
    if settings.elementwise == "torch":
        return lambda block: block.run
    from trainer.model.fused.block import run_fused
    from trainer.model.fused.norm import normed

    for head in model.heads.values():
        head.normed = normed  # type: ignore[assignment]
    return lambda block: partial(run_fused, block, settings.products == "grouped")


def _check(settings: "ParallelSettings", shared: bool, device: torch.device) -> None:
    if settings.products == "grouped" and settings.elementwise == "torch":
        raise ConfigError("config:products", "products = 'grouped' is a kernel in Triton: set elementwise=triton")
    if settings.products == "grouped" and shared:
        raise ConfigError("config:products", "model.shared leaves one product for all streams: set products=each")
    if settings.elementwise == "torch":
        return
    fix = None
    if settings.compile:
        fix = "is not compiled: set compile=false"
    elif settings.float8 == "rowwise":
        fix = "makes one float8 scale a matrix: set float8=tensorwise or elementwise=torch"
    elif not runs_triton(device):
        fix = "needs a CUDA device: set elementwise=torch"
    if fix:
        raise ConfigError("config:elementwise", f"elementwise = 'triton' {fix}")
