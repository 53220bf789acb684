"""Shard files: WebDataset tars whose bytes depend on their members alone."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from manifests.files import AnyPath, again, publish

Member = tuple[str, bytes | Path]
"""Name in the tar, and its bytes or the file that holds them."""


@dataclass(frozen=True)
class Place:
    """Where a sample lies in its shard, headers and padding included, in bytes."""

    offset: int
    size: int


def write(path: AnyPath, members: Iterable[Member]) -> bool:
    """Publish a tar of the members in the order given, with zeroed times and owners. False when it was there."""

    def fill(file: BinaryIO) -> None:
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in members:
                _add(tar, name, data)

    return publish(path, fill)


def _add(tar: tarfile.TarFile, name: str, data: bytes | Path) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o444
    if isinstance(data, bytes):
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
        return
    info.size = data.stat().st_size
    with data.open("rb") as file:
        tar.addfile(info, file)


@dataclass(frozen=True)
class Packed:
    """What a shard on disk (or in a bucket) holds. bytes: its size. places: by sample key."""

    sha256: str
    bytes: int
    places: dict[str, Place]


def read_back(path: AnyPath) -> Packed:
    """Read a shard through, once: the index never says more than the file."""
    return again(lambda: _read_back(path), path)


def _read_back(path: AnyPath) -> Packed:
    found: dict[str, list[int]] = {}
    with path.open("rb") as raw:
        file = _Hashed(raw)
        with tarfile.open(fileobj=cast(IO[bytes], file), mode="r|") as tar:
            for info in tar:
                key = info.name.partition(".")[0]
                end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                found.setdefault(key, [info.offset, end])[1] = end
        while file.read(1 << 20):
            pass
    places = {key: Place(start, end - start) for key, (start, end) in found.items()}
    return Packed(file.state.hexdigest(), file.count, places)


class _Hashed:
    """A file that is read through once, and hashed on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self.count, self.state = file, 0, hashlib.sha256()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.count += len(data)
        self.state.update(data)
        return data
