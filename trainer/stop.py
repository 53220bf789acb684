"""Leaving on request: after SIGTERM or a first Ctrl-C the step at hand is finished, saved, and training ends."""

import signal
import threading
from collections import deque
from types import FrameType

import torch

from pipeline import console
from trainer.parallel import World

LAG = 2
"""Steps that a GPU may be behind: the wish of the step before last is read, which is there without waiting."""


class Stop:
    """Use as a context: inside it, signals are wishes. Every rank's wish goes through the step's all-reduce, so that
    all stop after the same step, whichever of them was signalled."""

    def __init__(self, world: World) -> None:
        self._device = world.device
        self._lag = LAG if world.device.type == "cuda" else 0
        self._heard: deque[tuple[torch.Tensor, torch.cuda.Event | None]] = deque()
        self._signal = 0
        self._before: dict[int, object] = {}

    def __enter__(self) -> "Stop":
        if threading.current_thread() is threading.main_thread():  # Python takes handlers there only
            for number in (signal.SIGTERM, signal.SIGINT):
                self._before[number] = signal.signal(number, self._take)
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def wish(self) -> torch.Tensor:
        """(1,) on the device: 1 once this process was asked to stop."""
        return torch.full((1,), float(self._signal > 0), device=self._device)

    def hear(self, wishes: torch.Tensor) -> None:
        """Take the wishes (1,) of all ranks, summed, on the device, without waiting for them."""
        if self._device.type != "cuda":
            self._heard.append((wishes, None))
            return
        copy = torch.empty(1, pin_memory=True).copy_(wishes, non_blocking=True)
        event = torch.cuda.Event()
        event.record()
        self._heard.append((copy, event))

    def agreed(self) -> bool:
        """Whether all ranks leave now; the same answer on every rank."""
        while len(self._heard) > self._lag:
            wishes, event = self._heard.popleft()
            if event is not None:
                event.synchronize()
            if wishes[0] > 0:
                return True
        return False

    @property
    def code(self) -> int:
        """The exit code that says why: 130 after Ctrl-C, else 143 as after SIGTERM, on all ranks."""
        return 128 + (self._signal or signal.SIGTERM)

    def _take(self, number: int, frame: FrameType | None) -> None:
        self._signal = number
        if number == signal.SIGINT:  # a second Ctrl-C ends it at once
            signal.signal(signal.SIGINT, signal.default_int_handler)
        console.say(f"{signal.Signals(number).name}: saving after this step", "stopping", "bold yellow")
