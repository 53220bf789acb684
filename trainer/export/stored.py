"""The tensors of a checkpoint on disk, read by name without a model, an optimizer or a process group."""

import pickle
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from manifests.errors import ConfigError
from trainer.quiet import quietly

_METADATA = ".metadata"


Sizes = Sequence[tuple[str, torch.Size]]


class Source(Protocol):
    """Tensors by name that can be read a few at a time."""

    sizes: dict[str, torch.Size]

    def read(self, group: Sizes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """These tensors, whole, in `dtype`, on the CPU."""
        ...


class Part:
    """`ema` or `model` of a checkpoint. sizes: sorted by name, numbers in names as numbers.

    Raises ConfigError `checkpoint:damaged` when the checkpoint has no readable index, or nothing of this part.
    """

    def __init__(self, folder: Path, part: str) -> None:
        self._folder, self._part = folder, part
        try:
            rows = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            message = f"{folder / _METADATA} cannot be read ({error}): remove {folder}"
            raise ConfigError("checkpoint:damaged", message) from None
        found = {
            name.removeprefix(f"{part}."): row.size
            for name, row in rows.items()
            if name.startswith(f"{part}.") and isinstance(row, TensorStorageMetadata)
        }
        if not found:
            raise ConfigError("checkpoint:damaged", f"{folder} holds no tensors of {part!r}")
        self.sizes = natural(found)

    def read(self, group: Sizes, dtype: torch.dtype) -> dict[str, torch.Tensor]:
        """Memory: these tensors in `dtype` and, one at a time, a stored shard of one of them."""
        tensors = {name: torch.empty(size, dtype=dtype) for name, size in group}
        with quietly():
            dcp.load({self._part: tensors}, checkpoint_id=self._folder, no_dist=True)
        return tensors


def identity(folder: Path) -> str:
    """A digest that no other save shares: DCP gives every save an id of its own, which its index holds."""
    return blake2b((folder / _METADATA).read_bytes(), digest_size=16).hexdigest()


def natural(sizes: Mapping[str, torch.Size]) -> dict[str, torch.Size]:
    """Sorted by name, `blocks.2` before `blocks.10`."""

    def key(name: str) -> list[tuple[int, str]]:
        return [(int(word), "") if word.isdecimal() else (-1, word) for word in name.split(".")]

    return {name: sizes[name] for name in sorted(sizes, key=key)}
