"""Atomic files: written beside their place, synced, then made visible once; the first writer wins."""

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def publish(path: Path, write: Callable[[BinaryIO], object]) -> bool:
    """Create `path` from what `write` writes, whole or not at all. False when it was there already (left untouched)."""
    if path.exists():
        return False
    with _written(path, write) as temporary:
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    _sync_folder(path.parent)
    return True


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Like `publish`, but the newest writer wins: for pointers to immutable files, never for tables."""
    with _written(path, write) as temporary:
        os.replace(temporary, path)  # noqa: PTH105
    _sync_folder(path.parent)


@contextlib.contextmanager
def _written(path: Path, write: Callable[[BinaryIO], object]):  # type: ignore[no-untyped-def]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name}.{secrets.token_hex(6)}.tmp"
    try:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
