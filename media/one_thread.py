"""torch on one thread, for as long as a measure runs: sums in one order, so the same numbers on every run."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one torch thread and no gradients inside the block; the process's own setting comes back after it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)
