"""DCP remarks that a process saves or loads alone: true, meant, and news to nobody."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

ALONE = "torch.distributed is disabled"


@contextmanager
def quietly() -> Iterator[None]:
    """Without that remark."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=ALONE)
        yield
