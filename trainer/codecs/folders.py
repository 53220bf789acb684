"""Folders of weights that a user names: there and of the right kind before any work starts, and known by their hash."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from manifests.errors import ConfigError

_BLOCK = 1 << 22


def config_of(setting: str, folder: str | None, kinds: tuple[str, ...] = ()) -> dict[str, Any]:
    """The `config.json` of a folder of weights. setting: its name in the settings; kinds: `_class_name`s that will do.

    Raises ConfigError `config:weights` when the folder is not named, not there, or of another kind.
    """
    if folder is None:
        raise ConfigError(
            "config:weights", f"{setting} is null: name the folder that holds config.json and the weights"
        )
    path = Path(folder) / "config.json"
    if not path.is_file():
        raise ConfigError("config:weights", f"{setting} = {folder!r}: no config.json there; name the model's folder")
    config: dict[str, Any] = json.loads(path.read_text())
    if kinds and config.get("_class_name") not in kinds:
        found = config.get("_class_name")
        raise ConfigError("config:weights", f"{setting} = {folder!r} holds {found!r}, not {' or '.join(kinds)}")
    return config


def digest_of(folder: str) -> str:
    """Hex sha256 over names and contents of config, weights and tokenizer in a folder: all that decides the numbers."""
    digest = sha256()
    for path in sorted(Path(folder).iterdir()):
        if path.suffix in {".json", ".safetensors", ".bin", ".txt", ".model"}:
            digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
    return digest.hexdigest()
