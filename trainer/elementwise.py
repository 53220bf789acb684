"""Who does the elementwise work of a model: torch's operators, or kernels of ours in Triton."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from manifests.errors import ConfigError
from trainer.devices import runs_triton
from trainer.divides import check_elementwise
from trainer.model.block import JointBlock
from trainer.model.mmdit import MMDiT

if TYPE_CHECKING:
    from trainer.parallel import ParallelSettings

Run = Callable[..., Any]


def runner(model: MMDiT, settings: "ParallelSettings", device: torch.device) -> Callable[[JointBlock], Run]:
    """How a block runs; what stands outside of the blocks is seen to here. Raises ConfigError for what cannot be."""
    check_elementwise(settings.elementwise, settings.products, settings.compile, settings.float8, model.config.shared)
    if settings.elementwise == "torch":
        return lambda block: block.run
    if not runs_triton(device):
        message = "parallel.elementwise = 'triton' needs a CUDA device: set parallel.elementwise=torch"
        raise ConfigError("config:elementwise", message)
    from trainer.model.fused.block import run_fused
    from trainer.model.fused.norm import normed

    for head in model.heads.values():
        head.normed = normed  # type: ignore[assignment]
    return lambda block: partial(run_fused, block, settings.products == "grouped")
