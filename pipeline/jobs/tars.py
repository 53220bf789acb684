"""Shard files: WebDataset tars whose bytes depend on their members alone."""

import contextlib
import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, cast

from manifests.files import AnyPath, again, publish, replace
from pipeline.jobs.tar_members import Damaged, TarIn
from pipeline.jobs.tar_members import members as members_in

Member = tuple[str, bytes | Path]
"""Name in the tar, and its bytes or the file that holds them."""


@dataclass(frozen=True)
class Place:
    """Where a sample lies in its shard, headers and padding included, in bytes."""

    offset: int
    size: int


@dataclass(frozen=True)
class Packed:
    """What a shard holds. bytes: its size. places: by sample key. names: of all its members, in order."""

    sha256: str
    bytes: int
    places: dict[str, Place]
    names: tuple[str, ...]


def write(path: AnyPath, members: Iterable[Member]) -> bool:
    """Publish a tar of the members in the order given, with zeroed times and owners. False when it was there."""
    return publish(path, lambda file: _fill(file, members))


def digest(members: Iterable[Member]) -> str:
    """The sha256, in hex, that a tar of the members would have."""
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123
        return _fill(nowhere, members).sha256


def pack(path: AnyPath, members: Sequence[Member]) -> Packed:
    """`write`; what the shard at `path` holds then: ours or, read back, the one that was there."""
    filled: list[Packed] = []
    if publish(path, lambda file: filled.append(_fill(file, members))):
        return filled[-1]
    return read_back(path)


def repack(path: AnyPath, members: Sequence[Member]) -> Packed:
    """Put a tar of these members in the place of the one at `path`, in one step: who reads the old one reads on."""
    filled: list[Packed] = []
    replace(path, lambda file: filled.append(_fill(file, members)))
    return filled[-1]


def rewrite(path: AnyPath, keep: Callable[[str], bool]) -> Packed:
    """Put a tar of the members whose names `keep` chooses in the place of the one at `path`, in one step: who reads the
    old one reads on. The bytes are those of a tar that never had the others. Raises Damaged."""
    filled: list[Packed] = []

    def fill(file: BinaryIO) -> None:
        with path.open("rb") as old:
            tar = TarIn(old, path)
            filled.append(_fill(file, ((m.name, tar.exactly(m.size)) for m in members_in(tar) if keep(m.name))))

    replace(path, fill)
    return filled[-1]


def _fill(file: BinaryIO, members: Iterable[Member]) -> Packed:
    out = _HashedOut(file)
    places: dict[str, Place] = {}
    names = []
    with tarfile.open(fileobj=cast(IO[bytes], out), mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in members:
            key = name.partition(".")[0]
            first = places[key].offset if key in places else out.count
            _add(tar, name, data)
            names.append(name)
            places[key] = Place(first, out.count - first)
    return Packed(out.state.hexdigest(), out.count, places, tuple(names))


class _HashedOut:
    """A file that is written through once, and hashed on the way."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.count, self.state = file, 0, hashlib.sha256()

    def write(self, data: bytes) -> int:
        self._file.write(data)
        self.count += len(data)
        self.state.update(data)
        return len(data)

    def tell(self) -> int:
        return self.count


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


def member(data: bytes, name: str) -> bytes | None:
    """A member by name out of a piece of a tar (a `Place` of it); None when it is not there, or not whole."""
    with contextlib.suppress(Damaged):
        tar = TarIn(io.BytesIO(data), name)
        return next((tar.exactly(found.size) for found in members_in(tar) if found.name == name), None)
    return None


def read_back(path: AnyPath) -> Packed:
    """Read a shard through, once: the index never says more than the file. Raises Damaged."""
    return again(lambda: _read_back(path), path)


def _read_back(path: AnyPath) -> Packed:
    found: dict[str, Place] = {}
    names = []
    with path.open("rb") as file:
        tar = TarIn(file, path)
        for member in members_in(tar):
            key = member.name.partition(".")[0]
            names.append(member.name)
            first = found[key].offset if key in found else member.offset
            found[key] = Place(first, member.end - first)
    return Packed(tar.state.hexdigest(), tar.count, found, tuple(names))
