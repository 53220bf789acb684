"""The tensors of a checkpoint on disk, read by name without a model, an optimizer or a process group."""

import pickle
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.metadata import TensorStorageMetadata

from manifests.errors import ConfigError

_METADATA = ".metadata"


def shapes(folder: Path, part: str) -> dict[str, torch.Size]:
    """Names and shapes of the tensors of `ema` or `model`, sorted by name, numbers in names as numbers.

    Raises ConfigError `checkpoint:damaged` when the checkpoint has no readable index, or nothing of this part.
    """
    try:
        rows = dcp.FileSystemReader(folder).read_metadata().state_dict_metadata
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise ConfigError(
            "checkpoint:damaged", f"{folder / _METADATA} cannot be read ({error}): remove {folder}"
        ) from None
    found = {
        name.removeprefix(f"{part}."): row.size
        for name, row in rows.items()
        if name.startswith(f"{part}.") and isinstance(row, TensorStorageMetadata)
    }
    if not found:
        raise ConfigError("checkpoint:damaged", f"{folder} holds no tensors of {part!r}")
    return dict(sorted(found.items(), key=lambda row: _natural(row[0])))


def read(
    folder: Path, part: str, sizes: Iterable[tuple[str, torch.Size]], dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """These tensors of `ema` or `model`, whole, in `dtype`, on the CPU.

    Memory: these tensors in `dtype` and, one at a time, a stored shard of one of them.
    """
    tensors = {name: torch.empty(size, dtype=dtype) for name, size in sizes}
    with quietly():
        dcp.load({part: tensors}, checkpoint_id=folder, no_dist=True)
    return tensors


def identity(folder: Path) -> str:
    """A digest that no other save shares: DCP gives every save an id of its own, which its index holds."""
    return blake2b((folder / _METADATA).read_bytes(), digest_size=16).hexdigest()


@contextmanager
def quietly() -> Iterator[None]:
    """Without DCP's remark that a single process reads alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is")
        yield


def _natural(name: str) -> list[tuple[int, str]]:
    return [(int(word), "") if word.isdecimal() else (-1, word) for word in name.split(".")]
