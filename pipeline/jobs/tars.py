"""Shard files: WebDataset tars whose bytes depend on their members alone."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from manifests.files import publish

Member = tuple[str, bytes | Path]
"""Name in the tar, and its bytes or the file that holds them."""


@dataclass(frozen=True)
class Place:
    """Where a sample lies in its shard, headers and padding included, in bytes."""

    offset: int
    size: int


def write(path: Path, members: Iterable[Member]) -> bool:
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


def places(path: Path) -> dict[str, Place]:
    """Sample key -> where it lies, read back from the shard on disk: the index never says more than the file."""
    found: dict[str, list[int]] = {}
    with tarfile.open(path) as tar:
        for info in tar:
            key = info.name.partition(".")[0]
            end = info.offset_data + -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
            found.setdefault(key, [info.offset, end])[1] = end
    return {key: Place(start, end - start) for key, (start, end) in found.items()}


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
