"""Where a model of torch runs, and in which numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from manifests.errors import ConfigError
from media.one_thread import one_thread

PRECISIONS = ("float32", "bfloat16", "float16")


def dtype_of(precision: str) -> Any:
    """torch's dtype. Raises ConfigError config:precision for another name."""
    import torch

    if precision not in PRECISIONS:
        raise ConfigError("config:precision", f"precision {precision!r}; there are {list(PRECISIONS)}")
    return getattr(torch, precision)


def device_of(wanted: str) -> str:
    """`wanted`; for "auto", the GPU where this process sees one. A recipe does not know it: numbers agree closely."""
    import torch

    return wanted if wanted != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def computing() -> Iterator[None]:
    """No gradients; one thread on the CPU, so that the same clip gives the same numbers."""
    with one_thread():
        yield
