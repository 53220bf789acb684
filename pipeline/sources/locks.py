"""Locks between the processes of one node: flock on small files. A process that dies lets go of them by dying."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

_MADE = 100
"""Each time but the last, another process has removed the folder in between."""


def take(path: Path, *, shared: bool = False, wait: bool = True) -> int | None:
    """A descriptor that holds the lock until it is closed; None when `wait` is false and another holds it.

    The file may be removed by whoever holds it exclusively: a lock on a removed file is let go and taken anew.
    Raises FileNotFoundError when its folder is gone.
    """
    kind = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, kind)
            if is_there(path, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


@contextlib.contextmanager
def held(path: Path) -> Iterator[int]:
    """The exclusive lock on `path`, made with its folders, for the length of a block; its descriptor.

    Whoever tidies up may remove the folder before the lock is in it: it is made again, `_MADE` times at most. Raises
    FileNotFoundError or FileExistsError when it is gone each time.
    """
    descriptor = _taken(path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _taken(path: Path) -> int:
    for _ in range(_MADE - 1):
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            return _in_its_folder(path)
    return _in_its_folder(path)


def _in_its_folder(path: Path) -> int:
    """Raises FileNotFoundError, or FileExistsError where it went while mkdir looked at it, when the folder is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = take(path)
    assert descriptor is not None
    return descriptor


def is_there(path: Path, descriptor: int) -> bool:
    """Whether the file that the descriptor is open on is still the one at `path`."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
