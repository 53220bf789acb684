"""Tars and WebDataset shards as input: every regular member is a source, named `tar#member`. Nothing is unpacked.

A member is a range of bytes of its tar, so its version is the tar's version and its place. Members whose names climb
out of their folder, links and devices are listed, and refused.
"""

import io
import os
import tarfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import IO

from manifests.errors import ConfigError
from pipeline.sources.entry import Row, entry, notes_of
from pipeline.sources.hostile_json import object_of
from pipeline.sources.uris import member_uri

UNSAFE, COMPRESSED, BROKEN = "source:unsafe_member", "source:compressed_tar", "source:bad_tar"
_NOTES = (".json", ".txt")
_MAX_NOTES = 1 << 20
_MAX_HEADER = 1 << 24
_PLACE = " @"
_HOSTILE = (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError)
"""What tarfile raises on damaged and on hostile headers."""


class _Careful(io.RawIOBase):
    """A file that refuses to be read in pieces that no honest header asks for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes. Raises ReadError for more than any header has."""
        if not 0 <= size <= _MAX_HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to `offset`."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where it is."""
        return self._file.tell()


def is_tar(name: str) -> bool:
    """True for names of tars, also of compressed ones."""
    return name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"))


def members(
    file: IO[bytes], uri: str, name: str, size: int | None, version: str, notes: Mapping[str, str] | None
) -> Iterator[Row]:
    """Rows of the members of the tar that `file` is open on; only headers and notes are read.

    A `.json` or `.txt` member beside a member of the same key tells its licence and so on, over what `notes` tell of
    the whole tar. A tar that cannot be read gives one row, to be quarantined; one that breaks off gives its good
    members, and that row.
    """
    if not name.lower().endswith(".tar"):
        yield entry(uri, name, size, version, notes, COMPRESSED)
        return
    try:
        with tarfile.open(fileobj=_Careful(file), mode="r:") as tar:
            for key, group in groupby(_each(tar), key=lambda member: member and _key(member.name)):
                if key is None:
                    yield entry(uri, name, size, version, notes, BROKEN)
                else:
                    yield from _group(tar, [m for m in group if m], uri, name, version, notes)
    except _HOSTILE:
        yield entry(uri, name, size, version, notes, BROKEN)


def _each(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo | None]:
    """Whole members in order, without keeping them all, as tarfile does; None at last where the tar breaks off."""
    while True:
        try:
            member = tar.next()
            if member is None:
                break
            whole = not member.size or not member.isreg() or _has_byte(tar, member.offset_data + member.size - 1)
        except _HOSTILE:
            member, whole = None, False
        if member is None or not whole:
            yield None
            return
        tar.members = []  # type: ignore[attr-defined]
        if not member.isdir():
            yield member
    if _has_byte(tar, tar.offset, nonzero=True):  # tarfile stops at a damaged header as if it were the end
        yield None


def _has_byte(tar: tarfile.TarFile, offset: int, nonzero: bool = False) -> bool:
    """Whether the tar has a byte at `offset`; with `nonzero`, a block there that is not the empty one of its end."""
    assert tar.fileobj is not None
    tar.fileobj.seek(offset)
    return any(tar.fileobj.read(tarfile.BLOCKSIZE)) if nonzero else bool(tar.fileobj.read(1))


def _key(name: str) -> str:
    """Webdataset's key: the path up to the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _group(
    tar: tarfile.TarFile,
    group: list[tarfile.TarInfo],
    uri: str,
    name: str,
    version: str,
    notes: Mapping[str, str] | None,
) -> Iterator[Row]:
    asides = [m for m in group if m.isreg() and m.name.lower().endswith(_NOTES)]
    if len(asides) == len(group):
        asides = []  # nothing that they could be about: they are sources like any other
    said = None if notes is None and not asides else dict(notes or {})
    for member in asides:
        said = {**(said or {}), **_read(tar, member)}
    for member in group:
        if member not in asides:
            where = f"{version}{_PLACE}{member.offset_data}"
            whole = member.isreg() and not member.issparse() and is_safe(member.name)
            where_to = member_uri(uri, member.name)
            length = member.size if member.isreg() else 0  # a link may claim any
            yield entry(where_to, f"{name}#{member.name}", length, where, said, None if whole else UNSAFE)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, str]:
    file = tar.extractfile(member)
    data = file.read(_MAX_NOTES) if file and member.size <= _MAX_NOTES else b""
    if member.name.lower().endswith(".txt"):
        return {"transcript": text} if (text := data.decode("utf-8", "replace").strip()) else {}
    return notes_of(object_of(data) or {})


def is_safe(member: str) -> bool:
    """False for names that lead out of a folder: absolute, or with `..` in them; and for names with a zero byte."""
    return not (os.path.isabs(member) or ".." in member.split("/") or "\0" in member)  # noqa: PTH117


def place(version: str) -> tuple[str, int]:
    """The version of the tar, and where the member's bytes start. Raises ConfigError for another kind of version."""
    outer, mark, offset = version.rpartition(_PLACE)
    if not mark or not offset.isdigit():
        raise ConfigError("source:version", f"{version!r} is not the version of a member of a tar")
    return outer, int(offset)
