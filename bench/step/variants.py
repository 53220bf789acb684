"""The ways that our model can run, by name; one whose setting this checkout has not is left out by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from pydantic import ValidationError

from trainer.devices import runs_triton
from trainer.parallel import ParallelSettings


@dataclass(frozen=True)
class Variant:
    """parallel: settings over `ParallelSettings`. master: float32 weights and moments, products in bf16 by autocast;
    otherwise weights, gradients and moments are bf16. own_adamw: updates by `trainer/adamw.py`. short: at 9k
    tokens only.
    """

    parallel: Mapping[str, Any] = field(default_factory=dict)
    master: bool = False
    own_adamw: bool = False
    short: bool = False

    @property
    def float8(self) -> bool:
        """Whether its products run in it."""
        return self.parallel.get("float8", "none") != "none"

    def settings(self, compiled: bool) -> ParallelSettings:
        """What `parallelize` takes. Raises ValidationError for values that the settings refuse."""
        compiled = compiled and self.parallel.get("elementwise") != "triton"
        return ParallelSettings.model_validate({"compile": compiled, **self.parallel})


VARIANTS: Mapping[str, Variant] = {
    "bf16": Variant(),
    "own-adamw": Variant(own_adamw=True, short=True),
    "triton": Variant({"elementwise": "triton"}, own_adamw=True),
    "float8-tensorwise": Variant({"float8": "tensorwise"}, short=True),
    "float8-rowwise": Variant({"float8": "rowwise"}, short=True),
    "float8-triton": Variant({"float8": "tensorwise", "elementwise": "triton"}, own_adamw=True, short=True),
    "master": Variant(master=True, short=True),
}
"""`bf16` is the main one: what the peer is compared with. All share one set of weights among the four streams."""


def why_not(variant: Variant, compiled: bool) -> str | None:
    """Why this checkout cannot run it; None when it can."""
    missing = [name for name in variant.parallel if name not in ParallelSettings.model_fields]
    if missing:
        return f"there is no parallel.{missing[0]}"
    if variant.own_adamw and not runs_triton(torch.device("cuda" if torch.cuda.is_available() else "cpu")):
        return "Triton needs a CUDA device"
    try:
        variant.settings(compiled)
    except ValidationError as error:
        return str(error.errors()[0]["msg"])
    return None
