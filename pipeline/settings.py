"""Typed settings: YAML presets, `--set a.b=value` on top, unknown keys refused with the nearest known one."""

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.errors import ConfigError


class Settings(BaseModel):
    """Base of every settings model: immutable; a key that it does not know, a NaN or an infinity is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=Settings)


def load_settings(model: type[T], preset: str, presets_dir: Path, overrides: Iterable[str] = ()) -> T:
    """Read a preset (a name in `presets_dir`, or a path to a YAML file) and apply `key=value` overrides.

    Values are YAML. Raises ConfigError naming the key, the value, and the nearest known key or the allowed values.
    """
    tree = _read_preset(preset, presets_dir)
    for item in overrides:
        _apply(tree, item)
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("config:invalid", _explain(error, model)) from None


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


def _explain(error: ValidationError, model: type[BaseModel]) -> str:
    return "\n".join(_explain_one(dict(e), model) for e in error.errors())


def _explain_one(error: dict[str, Any], model: type[BaseModel]) -> str:
    where = ".".join(str(p) for p in error["loc"])
    if error["type"] == "value_error" and isinstance(error.get("input"), dict):  # of several settings: it names them
        return f"{where}: {error['ctx']['error']}".removeprefix(": ")
    if error["type"] != "extra_forbidden":
        return f"{where} = {error.get('input')!r}: {error['msg']}"
    known = _keys(model)
    near = difflib.get_close_matches(where, known, 1, 0.5) or difflib.get_close_matches(
        str(error["loc"][-1]), [k.rpartition(".")[2] for k in known], 1, 0.5
    )
    hint = f"did you mean {near[0]!r}?" if near else f"known keys here: {sorted(known)}"
    return f"unknown key {where!r}; {hint}"


def _keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """All dotted keys of a settings model, nested models included."""
    keys: list[str] = []
    for name, info in model.model_fields.items():
        keys.append(prefix + name)
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            keys += _keys(kind, f"{prefix}{name}.")
    return keys
