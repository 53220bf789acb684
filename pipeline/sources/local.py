"""Local directories and files as sources. Every file is listed: what it is turns out when it is probed."""

import os
from collections.abc import Iterator
from pathlib import Path

from manifests.errors import ConfigError
from pipeline.sources import sidecar, tar
from pipeline.sources.entry import Row, entry
from pipeline.sources.uris import file_uri


def walk(root: Path) -> Iterator[Row]:
    """Rows of all files below `root`, in order of their paths, with the notes of its sidecar."""
    base = os.path.abspath(root)  # noqa: PTH100 (a str keeps a million rows cheap)
    if not os.path.isdir(base):  # noqa: PTH112
        yield from _file(base, os.path.basename(base), {})  # noqa: PTH119
        return
    notes = sidecar.read(lambda name: _load(Path(base) / name), base)
    for path in _files(base):
        name = path[len(base) :].lstrip("/")
        if name != notes.name:
            yield from _file(path, name, notes.of.get(name, {}))


def _load(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _files(base: str) -> Iterator[str]:
    """All files below `base`. Links to folders are not entered (they may loop).

    Raises ConfigError for a folder that cannot be read: what is in it would be missing without a word.
    """
    for folder, folders, files in os.walk(base, onerror=_unreadable):
        folders.sort()
        yield from (f"{folder}/{name}" if folder != "/" else f"/{name}" for name in sorted(files))


def _unreadable(error: OSError) -> None:
    raise ConfigError("source:unreadable", f"cannot list {error.filename!r}: {error.strerror}; grant access or move it")


def _file(path: str, name: str, notes: dict[str, str]) -> Iterator[Row]:
    try:
        stat = os.stat(path)  # noqa: PTH116
        size, version = stat.st_size, f"mtime:{stat.st_mtime_ns}"
    except OSError:  # a dangling link: it is listed, and quarantined when it is read
        size, version = 0, "mtime:0"
    if tar.is_tar(name) and os.path.isfile(path):  # noqa: PTH113
        with open(path, "rb") as file:  # noqa: PTH123
            yield from tar.members(file, file_uri(path), name, size, version, notes)
    else:
        yield entry(file_uri(path), name, size, version, notes)
