"""The members of tars as we write them, by a strict reader: anything else is damage, said with its place.

Python's tarfile reads every dialect there ever was: on damaged headers it raises whatever it stumbles over, takes them
for the end of the tar, or seeks for hours.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from manifests.errors import KlearError

BLOCK = 512
_CHUNK = 1 << 20
_SIZE = re.compile(rb"[0-7]{1,11}[ \0]*")
_OCTAL = re.compile(rb"[0-7]+")
_CHECKSUM = slice(148, 156)
_REGULAR = b"0\0"


class Damaged(KlearError):
    """A tar is not whole, or none of ours."""


class TarIn:
    """A tar that is read through once, and hashed on the way. name: for the errors. count: bytes read so far."""

    def __init__(self, file: IO[bytes], name: object) -> None:
        self._file, self._name = file, name
        self.count, self.state = 0, hashlib.sha256()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end."""
        data = self._file.read(size)
        self.count += len(data)
        self.state.update(data)
        return data

    def exactly(self, size: int) -> bytes:
        """`size` bytes. Raises Damaged when the tar ends before."""
        data = self.read(size)
        if len(data) < size:
            raise self.damaged(self.count, "it breaks off")
        return data

    def skip(self, size: int) -> None:
        """Read over `size` bytes. Raises Damaged when the tar ends before."""
        while size > 0:
            size -= len(self.exactly(min(size, _CHUNK)))

    def damaged(self, offset: int, what: str) -> Damaged:
        """The error for a place in the tar."""
        said = f"{self._name} is no whole tar of ours: {what} at byte {offset}"
        return Damaged("shard:damaged", f"{said}; remove it, and run again what wrote it")


@dataclass(frozen=True)
class Member:
    """A member and its place, in bytes: of its header, and of the end of its padding. size: of its data."""

    name: str
    offset: int
    end: int
    size: int


def members(tar: TarIn) -> Iterator[Member]:
    """Members in order; while one is held, `tar` stands at its first byte, and may be read to its last.

    Raises Damaged at the first byte that does not belong; the end of the tar is all read.
    """
    while True:
        start = tar.count
        header = tar.exactly(BLOCK)
        if not any(header):
            break
        name, size = _read(tar, header)
        end = start + BLOCK + -(-size // BLOCK) * BLOCK
        yield Member(name, start, end, size)
        tar.skip(end - tar.count)
    tar.exactly(BLOCK)  # an end is two blocks of zeros, and more of them
    while tail := tar.read(_CHUNK):
        if any(tail):
            raise tar.damaged(tar.count - len(tail), "there is more behind its end")


def _read(tar: TarIn, header: bytes) -> tuple[str, int]:
    """Name and size of a member."""
    told, size = header[_CHECKSUM].strip(b" \0"), header[124:136]
    counted = sum(header) - sum(header[_CHECKSUM]) + 8 * ord(" ")
    name = header[:100].partition(b"\0")[0]
    whole = (
        _OCTAL.fullmatch(told)
        and int(told, 8) == counted
        and _SIZE.fullmatch(size)
        and header[156] in _REGULAR
        and not any(header[345:500])
        and name.isascii()
        and name
    )
    if not whole:
        raise tar.damaged(tar.count - BLOCK, "a damaged header")
    return name.decode("ascii"), int(size.strip(b" \0"), 8)
