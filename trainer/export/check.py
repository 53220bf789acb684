"""Whether the files of an export are all there and whole: their headers against its index, no tensor is read."""

import json
from pathlib import Path

from manifests.errors import ConfigError
from trainer.export.config import INDEX

ADAPTER, ADAPTER_CONFIG = "adapter_model.safetensors", "adapter_config.json"


def check_whole(folder: Path, weights: str) -> None:
    """weights: what was exported; `lora` has peft's files and no index.

    Raises ConfigError `export:damaged`, naming the first file that is missing, cut short, or holds other tensors than
    the index says.
    """
    wanted: dict[str, set[str]] = {}
    if weights == "lora":
        _require(folder, ADAPTER_CONFIG)
        wanted[ADAPTER] = set()
    else:
        _require(folder, INDEX)
        for tensor, name in json.loads((folder / INDEX).read_text())["weight_map"].items():
            wanted.setdefault(name, set()).add(tensor)
    for name, tensors in sorted(wanted.items()):
        _require(folder, name)
        found = _tensors(folder / name)
        if tensors and found != tensors:
            raise _damaged(folder, f"{name} holds other tensors than {INDEX} says")


def _require(folder: Path, name: str) -> None:
    if not (folder / name).is_file():
        raise _damaged(folder, f"lacks {name}")


def _tensors(path: Path) -> set[str]:
    """Names in a file whose length is just what its header promises."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            return set(file.keys())
    except (SafetensorError, OSError) as error:
        raise _damaged(path.parent, f"{path.name} is cut short or damaged ({error})") from None


def _damaged(folder: Path, what: str) -> ConfigError:
    return ConfigError("export:damaged", f"{folder} is this export, but {what}: remove the folder and export again")
