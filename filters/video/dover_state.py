"""Sizes that the names of a state dict tell."""

from collections.abc import Mapping
from typing import Any


def below(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The entries below `name`, without it."""
    return {key.removeprefix(name + "."): value for key, value in state.items() if key.startswith(name + ".")}


def numbered(state: Mapping[str, Any], name: str) -> int:
    """How many modules `name.0`, `name.1`, ... there are. Raises KeyError for none."""
    numbers = {key.split(".")[0] for key in below(state, name)}
    if "0" not in numbers:
        raise KeyError(f"{name}.0")
    return len(numbers)
