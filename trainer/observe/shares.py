"""Which parts of the network the gradient lies in: shares of its squared norm by stream and by kind of layer.

Measured before clipping, on what every rank holds, and put together when a line is logged.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.gradients import local
from trainer.model.layout import STREAMS
from trainer.parallel import World

PARTS = ("attention", "ffn", "modulation", "embed", "head")
SHARED = "shared"
"""The stream of weights that no single stream owns, such as the embedding of sigma."""
_STREAMS = (*STREAMS, SHARED)
_PART_OF = {
    **dict.fromkeys(("qkv", "norm_qk", "out"), "attention"),
    **dict.fromkeys(("ffn_in", "ffn_out"), "ffn"),
    "modulation": "modulation",
}


class ParameterShares:
    """Collects an interval of steps. The parameters are those of the model now; their order is that of `parameters`."""

    def __init__(self, model: nn.Module, world: World) -> None:
        self._world = world
        self._parameters = list(model.parameters())
        places = [place_of(name) for name, _ in model.named_parameters()]
        self._places = np.array([(_STREAMS.index(stream), PARTS.index(part)) for stream, part in places])
        self._copies = np.array([_copies(parameter, world.size) for parameter in self._parameters])
        self.clear()

    def clear(self) -> None:
        """Forget the interval so far."""
        self._norms: list[torch.Tensor] = []
        self._present: list[list[int]] = []

    @torch.no_grad()
    def note(self) -> None:
        """Take the norms of the gradients as they are. Does not wait for the device."""
        held = [(i, local(p.grad)) for i, p in enumerate(self._parameters) if p.grad is not None]
        held = [(i, gradient) for i, gradient in held if gradient.numel()]
        if held:
            self._norms.append(torch.stack(torch._foreach_norm([g for _, g in held], 2, torch.float32)))
            self._present.append([i for i, _ in held])

    def collect(self) -> dict[str, dict[str, float]]:
        """Shares by `stream` and by `part`, each adding up to 1, of the sum of squares over the interval's steps.

        A step whose gradient is no number is left out. Waits for the device; all ranks call it.
        """
        sums = np.zeros((len(_STREAMS), len(PARTS)))
        if self._norms:
            squares = torch.cat(self._norms).double().square().cpu().numpy()
            steps = np.repeat(np.arange(len(self._present)), [len(present) for present in self._present])
            bad = np.unique(steps[~np.isfinite(squares)])
            good = ~np.isin(steps, bad)
            places = np.concatenate(self._present)[good]
            np.add.at(sums, tuple(self._places[places].T), squares[good] / self._copies[places])
        total = self._world.sum(torch.from_numpy(sums).to(self._world.device)).cpu().numpy()
        self.clear()
        return {"stream": _shares(_STREAMS, total.sum(1)), "part": _shares(PARTS, total.sum(0))}


def place_of(name: str) -> tuple[str, str]:
    """The stream and the part of a parameter, from its dotted name."""
    words = name.split(".")
    stream = next((word for word in words if word in STREAMS), SHARED)
    if "heads" in words:
        return stream, "head"
    if "blocks" not in words:
        return stream, "embed"
    return stream, next((_PART_OF[word] for word in words if word in _PART_OF), "attention")


def _copies(parameter: Any, size: int) -> float:
    """On how many ranks each number of a parameter lies: 1 for a full shard; all of them for a plain tensor."""
    if not hasattr(parameter, "placements"):
        return size
    mesh = parameter.device_mesh
    shards = [mesh.size(i) for i, placement in enumerate(parameter.placements) if placement.is_shard()]
    return size / torch.Size(shards).numel()


def _shares(names: Sequence[str], sums: np.ndarray) -> dict[str, float]:
    whole = float(sums.sum())
    return {name: value / whole if whole else 0.0 for name, value in zip(names, sums.tolist(), strict=True)}
