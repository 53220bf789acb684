"""What a run of the benchmark is about: sizes, device, patience."""

from dataclasses import dataclass

import torch

from bench.step.sizes import GRIDS, SMALL, Sizes, clip_of, made_up_batch
from trainer.gpus import GPUS, Gpu, gpu_of
from trainer.packing import PackedBatch

SMALL_GRID = (2, 2, 10)

PEAK = GPUS["h100"].peak
"""Dense bf16 FLOP/s of an H100 or H200 SXM by the vendor's data sheet: what MFU is counted against."""


@dataclass(frozen=True)
class Bench:
    """rounds: turns of each model. small: tiny sizes on a CPU, to see that it runs."""

    rounds: int
    small: bool

    @property
    def sizes(self) -> Sizes:
        """Of both models."""
        return SMALL if self.small else Sizes()

    @property
    def device(self) -> torch.device:
        """Where all of it runs."""
        return torch.device("cpu" if self.small else "cuda")

    @property
    def gpu(self) -> Gpu | None:
        """The planner's entry for it, if it has one."""
        return None if self.small else gpu_of(torch.cuda.get_device_name())

    def batch(self, tokens: int) -> PackedBatch:
        """The document of this many tokens (any number stands for the small one)."""
        return made_up_batch(self.sizes.ours(), clip_of(SMALL_GRID if self.small else GRIDS[tokens]))

    def each(self, tokens: int) -> int:
        """Steps of a turn: about a second."""
        return 1 if self.small else max(2, 45_000 // tokens)
