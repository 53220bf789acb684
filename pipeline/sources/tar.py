"""Tars and WebDataset shards as input: every regular member is a source, named `tar#member`. Nothing is unpacked.

A member is a range of bytes of its tar, so its version is the tar's version and its place. Members whose names climb
out of their folder, links and devices are listed, and refused.
"""

import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import IO, Any

from manifests.errors import ConfigError
from pipeline.sources.entry import Row, entry, notes_of
from pipeline.sources.uris import member_uri

UNSAFE, COMPRESSED, BROKEN = "source:unsafe_member", "source:compressed_tar", "source:bad_tar"
_NOTES = (".json", ".txt")
_MAX_NOTES = 1 << 20
_PLACE = " @"


def is_tar(name: str) -> bool:
    """True for names of tars, also of compressed ones."""
    return name.lower().endswith((".tar", ".tar.gz", ".tgz", ".tar.zst", ".tar.xz", ".tar.bz2"))


def members(
    file: IO[bytes], uri: str, name: str, size: int | None, version: str, notes: Mapping[str, str]
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
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for _, group in groupby(_each(tar), key=lambda member: _key(member.name)):
                yield from _group(tar, list(group), uri, name, version, notes)
    except (tarfile.TarError, EOFError, ValueError):
        yield entry(uri, name, size, version, notes, BROKEN)


def _each(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Members in order, without keeping them all, as tarfile does. Raises TarError where the tar breaks off."""
    while (member := tar.next()) is not None:
        tar.members = []  # type: ignore[attr-defined]
        if not member.isdir():
            yield member
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    if any(tar.fileobj.read(tarfile.BLOCKSIZE)):  # tarfile stops at a damaged header as if it were the end
        raise tarfile.ReadError(f"no header at {tar.offset}")


def _key(name: str) -> str:
    """Webdataset's key: the path up to the first dot of its last part."""
    folder, slash, base = name.rpartition("/")
    return folder + slash + base.partition(".")[0]


def _group(
    tar: tarfile.TarFile, group: list[tarfile.TarInfo], uri: str, name: str, version: str, notes: Mapping[str, str]
) -> Iterator[Row]:
    asides = [m for m in group if m.isreg() and m.name.lower().endswith(_NOTES)]
    if len(asides) == len(group):
        asides = []  # nothing that they could be about: they are sources like any other
    said = dict(notes)
    for member in asides:
        said |= _read(tar, member)
    for member in group:
        if member not in asides:
            where = f"{version}{_PLACE}{member.offset_data}"
            whole = member.isreg() and not member.issparse() and is_safe(member.name)
            where_to = member_uri(uri, member.name)
            yield entry(where_to, f"{name}#{member.name}", member.size, where, said, None if whole else UNSAFE)


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> dict[str, str]:
    file = tar.extractfile(member)
    data = file.read(_MAX_NOTES) if file and member.size <= _MAX_NOTES else b""
    if member.name.lower().endswith(".txt"):
        return {"transcript": text} if (text := data.decode("utf-8", "replace").strip()) else {}
    try:
        found: Any = json.loads(data)
    except ValueError:
        return {}
    return notes_of(found) if isinstance(found, dict) else {}


def is_safe(member: str) -> bool:
    """False for names that lead out of a folder: absolute, or with `..` in them; and for names with a zero byte."""
    return not (os.path.isabs(member) or ".." in member.split("/") or "\0" in member)  # noqa: PTH117


def place(version: str) -> tuple[str, int]:
    """The version of the tar, and where the member's bytes start. Raises ConfigError for another kind of version."""
    outer, mark, offset = version.rpartition(_PLACE)
    if not mark or not offset.isdigit():
        raise ConfigError("source:version", f"{version!r} is not the version of a member of a tar")
    return outer, int(offset)
