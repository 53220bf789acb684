"""The base of all settings, and what is said of a wrong one."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from manifests.errors import ConfigError


class Settings(BaseModel):
    """Base of every settings model: immutable; a key that it does not know, a NaN or an infinity is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=Settings)


def checked(model: type[T], values: Mapping[str, Any], where: str = "") -> T:
    """The settings of these values. Raises ConfigError `config:invalid`, naming the key, the value, and the nearest
    known key or the allowed values. where: whose settings they are, for the message."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        said = "\n".join(_explain_one(dict(e), model) for e in error.errors())
        raise ConfigError("config:invalid", f"{where}: {said}" if where else said) from None


def _explain_one(error: dict[str, Any], model: type[BaseModel]) -> str:
    where = ".".join(str(p) for p in error["loc"])
    if error["type"] == "value_error" and isinstance(error.get("input"), dict):  # of several settings: it names them
        return f"{where}: {error['ctx']['error']}".removeprefix(": ")
    if error["type"] == "missing":
        return f"{where} is missing: give it a value"
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
