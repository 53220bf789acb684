"""Where a step's time goes: seconds of kernels by kind, from a profile of a few steps."""

import statistics
import time
from collections import Counter
from typing import NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from bench.step.device import wait
from bench.step.kinds import KINDS, is_kernel, kind_of
from bench.step.running import Step

HEAT_S = 1.0
"""Seconds of steps before the profile: a cool card runs faster than it can sustain."""


class Budget(NamedTuple):
    """wall: seconds of a step while it was profiled. kinds: of its kernels. other: the longest that no rule knows."""

    wall: float
    kinds: dict[str, float]
    other: dict[str, float]

    @property
    def idle(self) -> float:
        """Seconds in which no kernel ran (all run one after another)."""
        return self.wall - sum(self.kinds.values())


def budget_of(step: Step, device: torch.device, steps: int = 3) -> Budget:
    """Profile `steps` steps, right after a second of them. On a CPU the operators stand for kernels."""
    on_gpu = device.type == "cuda"
    began = time.perf_counter()
    while time.perf_counter() - began < (HEAT_S if on_gpu else 0.0):
        step()
        wait(device)
    walls = []
    with profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU]) as found:
        for _ in range(steps):
            began = time.perf_counter()
            step()
            wait(device)
            walls.append(time.perf_counter() - began)
    names: Counter[str] = Counter()
    for event in found.key_averages():
        if event.device_type == (DeviceType.CUDA if on_gpu else DeviceType.CPU) and is_kernel(event.key):
            names[event.key] += event.self_device_time_total if on_gpu else event.self_cpu_time_total
    return _sorted(names, statistics.median(walls), steps)


def _sorted(names: Counter[str], wall: float, steps: int) -> Budget:
    """names: microseconds of all steps."""
    kinds = dict.fromkeys(KINDS, 0.0)
    other: Counter[str] = Counter()
    for name, us in names.items():
        kind = kind_of(name)
        kinds[kind] += us / 1e6 / steps
        if kind == "other":
            other[name] += us / 1e6 / steps  # type: ignore[assignment]
    return Budget(wall, kinds, {name[:60]: seconds for name, seconds in other.most_common(3)})
