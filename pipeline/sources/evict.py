"""Eviction from the source store: the longest unused first, never what a process has pinned."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.sources import locks

_DOWN_TO = 0.9
"""A full store is brought down to this share of its cap, so that it is not scanned for every source."""


@dataclass(frozen=True)
class _Content:
    used_ns: int
    folder: Path
    size: int


def make_room(root: Path, added: int, cap: int) -> int:
    """Count `added` bytes more in the store; over `cap` bytes, evict. Returns the bytes in it, as far as is known.

    What is pinned stays, even when the store is over its cap then.
    """
    with locks.held(root / "usage.lock"):
        total = _read(root / "usage") + added
        if total > cap:
            total = _evict(root, cap)
        (root / "usage").write_text(str(total))
    return total


def _read(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def _evict(root: Path, cap: int) -> int:
    found = sorted(_contents(root / "sources"), key=lambda content: (content.used_ns, content.folder))
    total = sum(content.size for content in found)
    for content in found:
        if total <= _DOWN_TO * cap:
            break
        if _remove(content.folder, root):
            total -= content.size
    return total


def _contents(sources: Path) -> Iterator[_Content]:
    for pin in sources.glob("*/*/*/pin"):
        with contextlib.suppress(FileNotFoundError):
            size = sum(entry.stat().st_size for entry in os.scandir(pin.parent))
            yield _Content(pin.stat().st_mtime_ns, pin.parent, size)


def _remove(folder: Path, root: Path) -> bool:
    """Take the content away, unless it is pinned. It leaves its place whole, before anything of it is deleted."""
    if not (folder / "pin").exists():
        return False
    pin = locks.take(folder / "pin", wait=False)
    if pin is None:
        return False
    try:
        trash = root / "trash" / secrets.token_hex(8)
        trash.parent.mkdir(exist_ok=True)
        folder.rename(trash)
        shutil.rmtree(trash, ignore_errors=True)
        _tidy(folder.parent)
    finally:
        os.close(pin)
    return True


def _tidy(folder: Path) -> None:
    """Remove the folder of a uri that has nothing left, unless someone fetches it just now."""
    lock = locks.take(folder / "fetch.lock", wait=False)
    if lock is None:
        return
    try:
        if [entry.name for entry in os.scandir(folder)] == ["fetch.lock"]:
            (folder / "fetch.lock").unlink()
            folder.rmdir()
    finally:
        os.close(lock)
