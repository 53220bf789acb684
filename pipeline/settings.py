"""Typed settings: YAML presets, `--set a.b=value` on top, unknown keys refused with the nearest known one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml

from manifests.errors import ConfigError
from manifests.settings import Settings, checked

__all__ = ["Settings", "load_settings", "with_sets"]


T = TypeVar("T", bound=Settings)


def load_settings(model: type[T], preset: str, presets_dir: Path, overrides: Iterable[str] = ()) -> T:
    """Read a preset (a name in `presets_dir`, or a path to a YAML file) and apply `key=value` overrides.

    Values are YAML. Raises ConfigError naming the key, the value, and the nearest known key or the allowed values.
    """
    return with_sets(model, _read_preset(preset, presets_dir), overrides)


def with_sets(model: type[T], tree: dict[str, Any], overrides: Iterable[str]) -> T:
    """The settings of this tree with `key=value` on top (the tree is changed). Raises ConfigError."""
    for item in overrides:
        _apply(tree, item)
    return checked(model, tree)


def _read_preset(preset: str, presets_dir: Path) -> dict[str, Any]:
    path = Path(preset)
    if path.suffix not in {".yaml", ".yml"}:
        path = presets_dir / f"{preset}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in presets_dir.glob("*.yaml"))
        raise ConfigError("config:preset", f"no preset {preset!r}; there are {known}, or give a path to a YAML file")
    tree = _parse(_text(path), str(path)) or {}
    if not isinstance(tree, dict):
        raise ConfigError("config:preset", f"{path} must hold a mapping, not {type(tree).__name__}")
    return tree


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError("config:preset", f"{path} is not UTF-8 ({error}): save it as UTF-8") from None
    except OSError as error:
        raise ConfigError("config:preset", f"{path} cannot be read: {error}") from None


def _apply(tree: dict[str, Any], item: str) -> None:
    key, sep, text = item.partition("=")
    if not sep or not key:
        raise ConfigError("config:set", f"--set takes key=value, e.g. cut.max_s=5; got {item!r}")
    *parents, leaf = key.split(".")
    node: Any = tree
    for part in parents:
        node = node[_index(part, node, item)] if isinstance(node, list) else node.setdefault(part, {})
        if not isinstance(node, dict | list):
            raise ConfigError("config:set", f"--set {item!r}: {part!r} holds a value, not settings")
    value = _parse(text, f"--set {item!r}")
    if isinstance(node, list):
        node[_index(leaf, node, item)] = value
    else:
        node[leaf] = value


def _parse(text: str, where: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError("config:yaml", f"{where} is not YAML: {' '.join(str(error).split())}") from None


def _index(part: str, node: list[Any], item: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise ConfigError("config:set", f"--set {item!r}: {part!r} is not an index into a list of {len(node)}")
    return int(part)
