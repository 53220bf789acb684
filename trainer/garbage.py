"""Python's garbage collector on a common beat: else each process stops when it likes, and the others wait for it."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def collecting(every: int) -> Iterator[Callable[[int], None]]:
    """Inside the block nothing is collected but by the yielded function, told of each step, every `every` steps.

    The young generations only (as torchtitan): milliseconds. Afterwards the collector is as it was.
    """
    was = gc.isenabled()
    gc.disable()
    gc.collect(1)
    try:
        yield lambda step: _collect(step, every)
    finally:
        if was:
            gc.enable()


def _collect(step: int, every: int) -> None:
    if step % every == 0:
        gc.collect(1)
