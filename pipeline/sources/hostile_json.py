"""JSON that others wrote: one object of it, or nothing, whatever it holds."""

import json
import math
from typing import Any

_DEEPEST = 64
"""Objects and lists within each other; Python's own limit depends on who calls."""
_DIGITS = 18
"""Digits of a whole number that any reader takes as one."""


def object_of(text: str | bytes) -> dict[str, Any] | None:
    """The JSON object that a text holds; None for a text that holds none, or one that is nested too deep to be kept.

    Numbers beyond 64 bits are given as text; NaN and Infinity, which are no JSON, as None.
    """
    try:
        found = json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=lambda name: None)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and not _is_deep(found) else None


def _whole(digits: str) -> int | str:
    return int(digits) if len(digits) <= _DIGITS else digits


def _real(digits: str) -> float | str:
    return found if math.isfinite(found := float(digits)) else digits


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(_DEEPEST):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[Any]:
    held = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [one for one in held if isinstance(one, dict | list)]
