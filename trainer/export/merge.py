"""The tensors of a LoRA run for its export: the adapters as peft keeps them, or the base with them added."""

from pathlib import Path

import torch

from trainer.base import base_shapes, open_base, read_base
from trainer.export import stored
from trainer.lora import LoraSettings, peft_name

_A, _B = ".lora_A.default.weight", ".lora_B.default.weight"


class Adapters:
    """The averaged adapters (and heads, where they train) under peft's names. A `stored.Source`."""

    def __init__(self, folder: Path) -> None:
        self._part = stored.Part(folder, "ema")
        self._names = {peft_name(name): name for name in self._part.sizes}
        self.sizes = {name: self._part.sizes[own] for name, own in self._names.items()}

    def read(self, group: stored.Sizes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """These tensors in `dtype`."""
        found = self._part.read([(self._names[name], size) for name, size in group], dtype)
        return {name: found[self._names[name]] for name, _ in group}


class Merged:
    """The base with alpha / rank B A added, and trained heads in place of its own. A `stored.Source`.

    All adapters are in memory, in float32, and of the base what is asked for.
    """

    def __init__(self, folder: Path, settings: LoraSettings) -> None:
        self._base = open_base(settings.folder)
        self.sizes = base_shapes(self._base)
        part = stored.Part(folder, "ema")
        self._trained = part.read(list(part.sizes.items()), torch.float32)
        self._scale = settings.alpha / settings.rank

    def read(self, group: stored.Sizes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """These tensors, added in float32, then in `dtype`."""
        tensors = read_base(self._base, group, torch.float32)
        return {name: self._whole(name, tensors.pop(name)).to(dtype) for name, _ in group}

    def _whole(self, name: str, base: torch.Tensor) -> torch.Tensor:
        module = name.removesuffix(".weight")
        if name in self._trained:
            return self._trained[name]
        if module + _A not in self._trained:
            return base
        return base.addmm_(self._trained[module + _B], self._trained[module + _A], alpha=self._scale)
