"""What a measurement asks of a device: to be done, to be empty, and how long a call takes when it is warm."""

import gc
import time
from collections.abc import Callable

import torch


def wait(device: torch.device) -> None:
    """Until everything that was asked of it is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def free() -> None:
    """Give back the memory of models that nobody holds any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forget() -> None:
    """Free, and forget what was compiled: what comes next is compiled for its own shapes."""
    torch._dynamo.reset()
    free()


def sustained(work: Callable[[], object], device: torch.device, for_s: float) -> float:
    """Seconds of one call, called over and over for about `for_s` seconds after three that warm up."""
    for _ in range(3):
        work()
    wait(device)
    began, calls = time.perf_counter(), 0
    while not calls or time.perf_counter() - began < for_s:
        for _ in range(10):
            work()
        wait(device)
        calls += 10
    return (time.perf_counter() - began) / calls
