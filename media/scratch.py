"""Memory-backed files without names: a child writes or reads them, a crash of anyone leaves nothing behind.

A folder in /dev/shm would outlive a killed worker, and containers often cap it at 64 MB; a memfd has neither fault.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np


class Scratch:
    """One anonymous file in memory, for passing bytes to or from a child that inherits its descriptor (`fd`).

    As a context manager it closes its descriptor on the way out; arrays that were mapped from it stay valid.
    """

    def __init__(self, data: bytes | memoryview = b"") -> None:
        self.fd = os.memfd_create("klear")
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.fd)

    @property
    def path(self) -> Path:
        """Its name inside the child that inherits `fd`; opening it gives a file at offset 0."""
        return Path(f"/proc/self/fd/{self.fd}")

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self.fd).st_size

    def read(self) -> bytes:
        """All of it."""
        with self.path.open("rb") as file:
            return file.read()

    def map(self, shape: tuple[int, ...], dtype: type) -> np.ndarray:
        """Its bytes as a read-only array of `shape`, without a copy."""
        if not all(shape):
            return np.zeros(shape, dtype)
        with self.path.open("rb") as file:
            return np.memmap(file, dtype, "r", shape=shape)


def scratch_dir() -> str | None:
    """A memory-backed folder for short-lived files that need a name, or None for the system's temporary folder."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK | os.X_OK) else None
