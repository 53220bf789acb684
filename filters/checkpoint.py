"""State dicts out of files that others wrote: safetensors, or torch's own format without running what it names.

A checkpoint of torch is a pickle, which may name any class and run it. Published ones hold their training settings
beside the weights (OmegaConf objects and such), so torch's own safe loader refuses them. Here every name that is not
needed for tensors becomes an inert object, and only the weights are taken.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from manifests.errors import ConfigError

_TENSORS = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_parameter"),
        ("torch", "Size"),
        *(
            (module, f"{kind}Storage")
            for module in ("torch", "torch.cuda")  # old files say where the weights were
            for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Byte", "Bool")
        ),
    }
)


def read(path: Path, under: str | None = None) -> dict[str, Any]:
    """Name -> tensor, on the CPU, mapped from the file where its format allows it (pages are read when touched).

    under: the entry of the file that holds the weights, where it has one; a bare state dict will do as well.
    Raises ConfigError model:checkpoint when the file holds no state dict.
    """
    found = contents(path)
    inner = found.get(under) if under and isinstance(found, Mapping) else None
    state = inner if isinstance(inner, Mapping) else found
    if not isinstance(state, Mapping) or not all(hasattr(value, "shape") for value in state.values()):
        raise ConfigError("model:checkpoint", f"{path} holds no state dict: it should map names to tensors")
    return dict(state)


def contents(path: Path) -> Any:
    """All that the file holds, settings beside the weights: plain values, tensors as `read` has them, inert objects.

    Raises ConfigError model:checkpoint when it cannot be read.
    """
    try:
        return _safetensors(path) if path.suffix == ".safetensors" else _torch(path)
    except Exception as error:
        raise ConfigError("model:checkpoint", f"{path} cannot be read as a checkpoint: {error}") from None


def below(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entries below `name`, without it: of `a.b.weight` below `a`, `b.weight`."""
    return {key.removeprefix(name + "."): value for key, value in state.items() if key.startswith(name + ".")}


def numbered(state: Mapping[str, Any], name: str) -> int:
    """How many modules `name.0`, `name.1`, ... there are. Raises KeyError for none."""
    numbers = {key.split(".")[0] for key in below(state, name)}
    if "0" not in numbers:
        raise KeyError(f"{name}.0")
    return len(numbers)


def _safetensors(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


def _torch(path: Path) -> Any:
    import torch

    module: Any = SimpleNamespace(Unpickler=_Unpickler, load=_load, __name__="pickle")
    try:
        return torch.load(path, map_location="cpu", mmap=True, weights_only=False, pickle_module=module)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)  # of before torch 1.6


def _load(file: Any, **options: Any) -> Any:
    return _Unpickler(file, **options).load()


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return super().find_class(module, name) if (module, name) in _TENSORS else type(name, (_Inert,), {})


class _Inert:
    """Takes whatever a pickle does to an object, and does nothing."""

    def __new__(cls, *args: Any, **kwargs: Any) -> "_Inert":
        return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> "_Inert":
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """As a list's."""

    def extend(self, values: Any) -> None:
        """As a list's."""
