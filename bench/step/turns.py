"""Models that take turns, A B A B, so that a card that warms up or throttles does it to all alike."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from bench.step.clocks import Span
from bench.step.device import wait
from bench.step.running import Step

WARM_UP = 3


@dataclass
class Turns:
    """seconds: of a step, a number a turn. spans: when the turns were."""

    seconds: list[float] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)

    @property
    def median(self) -> float:
        """Seconds of a step."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> float:
        """Slowest less fastest."""
        return max(self.seconds) - min(self.seconds)


def in_turn(steps: Mapping[str, Step], rounds: int, each: int, device: torch.device) -> dict[str, Turns]:
    """`rounds` turns of `each` steps, by name. Raises RuntimeError when a loss is not finite (a gradient that is not
    makes the weights, and so the next loss, not finite either)."""
    found = {name: Turns() for name in steps}
    for step in steps.values():
        for _ in range(WARM_UP):
            step()
    for _ in range(rounds):
        for name, step in steps.items():
            wait(device)
            began = time.perf_counter()
            for _ in range(each):
                loss = step()
            wait(device)
            ended = time.perf_counter()
            found[name].seconds.append((ended - began) / each)
            found[name].spans.append((began, ended))
            if not torch.isfinite(loss):
                raise RuntimeError(f"{name}: the loss is {loss.item()}")
    return found
