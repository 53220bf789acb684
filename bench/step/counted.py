"""What a step of ours reads and writes beside its products and attention: counted from its own code, which runs without
numbers (on fake tensors) while every kernel and operator is written down."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from triton.runtime.jit import KernelInterface

from trainer.model.config import ModelConfig
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.packing import PackedBatch
from trainer.parallel import ParallelSettings, World, parallelize

PRODUCTS = {"mm", "addmm", "_scaled_mm", "attend", "attend_backward"}
"""They move bytes in their own time; but for sums written as products, which are in float32."""

MOVES_NOTHING = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided", "detach", "device"}
"""Operators that make room or ask a question."""

WRITES_ONLY = {"new_zeros", "zeros_like"}
"""Operators that are given a tensor for its kind alone."""


def shares(kernel: str, named: Mapping[str, Any]) -> dict[str, float]:
    """How much of a tensor one launch touches, by its name, where it is not all: a third of q, k and v together, and
    values are neither turned nor, on their way back, read; without a branch to add, x stays where it is."""
    if kernel == "norm_forward" and named["branch"] is None:
        return {"summed": 0.0}
    if not kernel.startswith("heads_"):
        return {}
    part = named["PART"]
    third = {name: 1 / 3 for name in ("qkv", "bias", "down", "biases", "peaks")}
    if part == 2:
        third |= {"rope": 0.0, "weight": 0.0, "weights": 0.0} | ({"qkv": 0.0} if kernel == "heads_backward" else {})
    return third


def launched(seen: Counter[str], kernel: Any) -> Callable[..., None]:
    """In the place of a launch: adds the bytes of its tensors."""

    def note(*given: Any, **more: Any) -> None:
        named = dict(zip(kernel.arg_names, given, strict=False)) | more
        part = shares(kernel.__name__, named)
        tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
        seen[kernel.__name__] += round(sum(part.get(name, 1.0) * value.nbytes for name, value in tensors.items()))

    return note


class Operators(TorchDispatchMode):
    """Adds the bytes of what torch's operators read and write; views move nothing."""

    def __init__(self, seen: Counter[str]) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        schema, name = func._schema, func._schema.name.partition("::")[2]
        view = any(r.alias_info is not None and not r.alias_info.is_write for r in schema.returns)
        if not view and name not in MOVES_NOTHING and not _is_product(name, result):
            given = () if name in WRITES_ONLY else (args, kwargs)
            touched = [t for t in tree_leaves((given, result)) if isinstance(t, torch.Tensor)]
            self.seen[name] += sum(t.nbytes for t in touched)
        return result


def _is_product(name: str, result: Any) -> bool:
    return name in PRODUCTS and not (name == "mm" and result.dtype == torch.float32)


@contextmanager
def written_down() -> Iterator[Counter[str]]:
    """Bytes by kernel and operator of what runs inside the block."""
    seen: Counter[str] = Counter()
    getting = patch.object(KernelInterface, "__getitem__", lambda kernel, grid: launched(seen, kernel))
    with getting, Operators(seen):
        yield seen


def counted(config: ModelConfig, batch: PackedBatch, float8: bool = False) -> Counter[str]:
    """Bytes of a forward and a backward pass of the fused model in bf16, by kernel and operator, products left out.

    float8: in all linears of `trainer.float8.STREAMS`.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), torch.autocast("cpu", enabled=False):
        with _in_bf16():
            model = MMDiT(config)
        kind = "tensorwise" if float8 else "none"
        settings = ParallelSettings.model_validate({"elementwise": "triton", "float8": kind, "float8_rows": 1})
        with patch("trainer.elementwise.runs_triton", lambda device: True):  # nothing will run
            parallelize(model, World(0, 1, torch.device("cpu")), settings, "bf16")
        channels = {"video": config.patch_channels, "audio": config.audio_channels}
        readings = {m: Reading("v", False, torch.ones(n), torch.ones(n)) for m, n in channels.items()}
        with written_down() as seen:
            losses = media_losses(model(batch.packed), batch, readings)
            global_loss(losses, loss_counts(batch), ObjectiveSettings()).backward()
    return seen


@contextmanager
def _in_bf16() -> Iterator[None]:
    """Parameters are made in bf16: fake ones cannot be cast in place."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
