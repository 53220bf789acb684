"""Ids are content: blake2b, 16 bytes, over canonical length-prefixed fields. Bytes in tables, hex outside."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SIZE = 16
_CHUNK = 1 << 20


def digest(*fields: bytes | str | int) -> bytes:
    """16 bytes over the fields. Each is written with its type and length, so that ("ab", "c") is not ("a", "bc")."""
    state = hashlib.blake2b(digest_size=SIZE)
    for field in fields:
        kind, data = _canonical(field)
        state.update(kind + len(data).to_bytes(8, "big") + data)
    return state.digest()


def _canonical(field: bytes | str | int) -> tuple[bytes, bytes]:
    if isinstance(field, bytes):
        return b"b", field
    if isinstance(field, str):
        return b"s", field.encode("utf-8", "surrogateescape")
    return b"i", str(int(field)).encode()


def file_digest(path: Path) -> bytes:
    """The `source_id` of a file: 16 bytes over its content alone, so a copy under another name is a duplicate."""
    state = hashlib.blake2b(digest_size=SIZE)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            state.update(chunk)
    return state.digest()


def clip_id(source_id: bytes, start_us: int, end_us: int, cut_recipe: str) -> bytes:
    """The id of the range [start_us, end_us) microseconds of a source, cut by `cut_recipe`."""
    return digest(source_id, start_us, end_us, cut_recipe)


def recipe(name: str, version: int, model: str, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """Hex id of what made a row: stage, its VERSION, model digest, parameters, and the recipes of its inputs."""
    canonical = json.dumps([params, dict(inputs)], sort_keys=True, separators=(",", ":"), default=str)
    return digest(name, version, model, canonical).hex()


def bucket(key: bytes, bits: int) -> int:
    """The first `bits` bits of an id. Parts, splits, takedowns and searches stay inside a bucket."""
    return int.from_bytes(key[:4], "big") >> (32 - bits) if bits else 0


def unit(key: bytes, purpose: str) -> float:
    """A number in [0, 1) that depends on the id and the purpose alone: for splits and samples, without any state."""
    return int.from_bytes(digest(key, purpose)[:8], "big") / 2**64
