"""Tensors out of the bytes of a safetensors file: checked, and without copying them.

`safetensors.torch.load` copies each tensor twice; a reader of many large samples spends its time there.
"""

import json
from typing import Any

import numpy as np
import torch

from manifests.errors import MediaError

_KINDS = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8},
}
_LENGTH = 8


def parse(data: np.ndarray) -> dict[str, torch.Tensor]:
    """Uint8 (n,), writable, that holds a safetensors file, to its tensors by name. They share its memory.

    Raises MediaError `latents:header` when the bytes are not one: a length beyond the end, no JSON, an unknown type, a
    tensor whose shape and place do not fit.
    """
    try:
        start, header = _header(data)
        flat = torch.from_numpy(data[start:])
        return {name: _tensor(flat, entry) for name, entry in header.items() if name != "__metadata__"}
    except (ValueError, KeyError, TypeError, RuntimeError, AttributeError, RecursionError) as error:
        cause = f"{type(error).__name__}: {error}"
        raise MediaError("latents:header", f"not a safetensors file ({cause[:200]})") from error


def _header(data: np.ndarray) -> tuple[int, dict[str, Any]]:
    if len(data) < _LENGTH:
        raise ValueError(f"{len(data)} bytes")
    length = int(data[:_LENGTH].view("<u8")[0])
    start = _LENGTH + length
    if start > len(data):
        raise ValueError(f"a header of {length} bytes in {len(data)}")
    return start, json.loads(data[_LENGTH:start].tobytes())


def _tensor(flat: torch.Tensor, entry: dict[str, Any]) -> torch.Tensor:
    kind, (first, end), shape = _KINDS[entry["dtype"]], entry["data_offsets"], entry["shape"]
    if not 0 <= first <= end <= len(flat) or min(shape, default=0) < 0:
        raise ValueError(f"a tensor at {first} to {end} of {len(flat)} bytes, shape {shape}")
    piece = flat[first:end]
    if (flat.data_ptr() + first) % kind.itemsize or first % kind.itemsize:
        piece = piece.clone()
    return piece.view(kind).reshape(shape)
