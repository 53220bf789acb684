"""Run by `test_fused_compiles.py` with Triton's compiler on: every fused kernel for an H100, without one.

Prints a JSON object: kernel -> bytes of local memory a thread, which are spilled registers.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
import triton.backends.nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from trainer.adamw import _adamw
from trainer.model.fused import cast_kernels, column_kernels, grouped_kernels, head_kernels, norm_kernels

HOPPER = GPUTarget("cuda", 90, 32)
HALF = (
    "w", "g", "m", "v", "x", "y", "branch", "summed", "later", "dy", "dx", "dbranch", "given", "h", "dh", "out", "down",
    "joint", "qkv", *(f"{letter}{i}" for letter in "abc" for i in range(3)),
)  # fmt: skip
EIGHT = {"straight": "*fp8e4nv", "turned": "*fp8e4nv"}
INTEGERS = {"group": "*i64", "chunks": "*i32", "place": "*i32"}
NUMBERS = (
    "count", "rows", "width", "branch_rows", "stride", "heads", "half", "tall", "rows0", "rows1", "rows2", "depth",
    "along", "across",
)  # fmt: skip
FLOATS = ("epsilon", "lr", "share1", "share2", "decay")
DIVISIBLE = ("count", "width", "stride", "heads", "half", "depth", "along", "across")
"""Multiples of 16 at the sizes we train: Triton then loads 16 bytes at once."""

BRANCH = {"BLOCK": 4096, "HAS_BRANCH": True, "HAS_BIAS": True, "HAS_PEAK": True}
NOTHING = {"branch": None, "bias": None, "gate": None, "peaks": None}
BARE = {"BLOCK": 4096, "HAS_BRANCH": False, "HAS_BIAS": False, "HAS_PEAK": False, **NOTHING}
COLUMNS = {"TILE": 1024, "HAS_BIAS": True}
PEAKS = {**COLUMNS, "HAS_PEAK": True}
HEADS = {"HEADS": 32, "HALF": 64, "PLACED": True, "HAS_BIAS": True}
TILES = {"ROWS": 128, "COLUMNS": 128, "DEPTH": 64}
CAST = {"MOST": 448.0, "TILE": 128, "STRAIGHT": True, "TURNED": True}
CASES: list[tuple[str, Any, dict[str, Any], int]] = [
    ("norm_forward", norm_kernels.norm_forward, BRANCH, 8),
    ("norm_forward bare", norm_kernels.norm_forward, BARE, 8),
    ("norm_backward", norm_kernels.norm_backward, BRANCH, 16),
    ("norm_backward bare", norm_kernels.norm_backward, {**BARE, "dbranch": None}, 16),
    ("gelu_forward", column_kernels.gelu_forward, PEAKS, 4),
    ("gelu_backward", column_kernels.gelu_backward, PEAKS, 4),
    ("add_forward", column_kernels.add_forward, COLUMNS, 4),
    ("add_backward", column_kernels.add_backward, PEAKS, 4),
    *((f"heads_forward {part}", head_kernels.heads_forward, {**HEADS, "PART": part}, 8) for part in (0, 2)),
    *(
        (f"heads_backward {part}", head_kernels.heads_backward, {**HEADS, "PART": part, "HAS_PEAK": True}, 8)
        for part in (0, 2)
    ),
    ("peaks", cast_kernels.peaks, {"TILE": 4096}, 4),
    ("cast", cast_kernels.cast_tiles, CAST, 8),
    ("grouped forward", grouped_kernels.grouped, {**TILES, "along": 1}, 8),
    ("grouped backward", grouped_kernels.grouped, {**TILES, "across": 1}, 8),
    ("adamw", _adamw, {"TILE": 1024}, 4),
]


def type_of(name: str) -> str:
    """Tokens are bf16; tables, statistics, sums and parameters float32."""
    if name in NUMBERS:
        return "i32"
    if name in FLOATS:
        return "fp32"
    return {**INTEGERS, **EIGHT}.get(name, "*bf16" if name in HALF else "*fp32")


def spilled(kernel: Any, constants: dict[str, Any], warps: int) -> int:
    """Bytes of local memory that a thread of the compiled kernel needs."""
    names = kernel.arg_names
    types = {name: "constexpr" if name in constants else type_of(name) for name in names}
    aligned = {
        (i,): [["tt.divisibility", 16]]
        for i, name in enumerate(names)
        if types[name].startswith("*") or (name in DIVISIBLE and name not in constants)
    }
    values = {(names.index(name),): value for name, value in constants.items()}
    made = triton.compile(ASTSource(kernel, types, values, aligned), target=HOPPER, options={"num_warps": warps})
    tool = Path(triton.backends.nvidia.__file__).parent / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(made.asm["cubin"])
        file.flush()
        usage = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    found = re.search(r"STACK:(\d+)", usage)
    assert found, usage
    return int(found[1])


if __name__ == "__main__":
    json.dump({name: spilled(kernel, constants, warps) for name, kernel, constants, warps in CASES}, sys.stdout)
