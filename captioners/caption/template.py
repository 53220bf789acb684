"""What the template captions have in common: statements of measured facts, put together at three lengths."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from captioners.caption.phrases import sentence

PROMPT_VERSION = "template-2"


@dataclass(frozen=True)
class Said:
    """One measured fact. text: a clause, which makes a sentence of the dense caption; "" for nothing to say. key: its
    name in the structured caption, where its `value` (default: the text) goes."""

    key: str
    text: str
    value: Any = None


def row(said: Iterable[Said], short: str) -> dict[str, Any]:
    """The columns of a template caption, all NULL but the names where there is nothing to say."""
    held = [one for one in said if one.text]
    told = {one.key: one.text if one.value is None else one.value for one in held}
    return {
        "caption": " ".join(sentence(one.text) for one in held) or None,
        "caption_short": sentence(short) if held and short else None,
        "structured": json.dumps(told, ensure_ascii=False) if held else None,
        "backend": "template",
        "model": None,
        "prompt_version": PROMPT_VERSION,
        "seed": None,
    }
