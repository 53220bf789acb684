"""Local directories and files as sources. Every file is listed: what it is turns out when it is probed.

What is said of a file stands in the sidecar of its folder, or else of the nearest folder above that names it, up to the
folder that the source names (of a pattern: the folder before its first mark).
"""

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from pathlib import Path

from manifests import layout
from manifests.errors import ConfigError
from pipeline.sources import sidecar, tar
from pipeline.sources.entry import Row, entry
from pipeline.sources.remarks import LINKS, NAMELESS, Remarks
from pipeline.sources.uris import file_uri

_OUTPUT = f"tables/{layout.NAME}"
"""What an output folder has."""
_FOLDERS = 1000
"""Folders whose sidecars are kept in memory."""


def walk(root: str | Path, remarks: Remarks, sidecars: "Sidecars | None" = None) -> Iterator[Row]:
    """Rows of all files below `root` (or of that file), in order of their paths, with what its sidecars say.

    remarks: here goes what is passed over. sidecars: by default those below `root`.
    Raises ConfigError for a folder or sidecar that cannot be read.
    """
    base = os.path.abspath(root)  # noqa: PTH100 (a str keeps a million rows cheap)
    is_folder = os.path.isdir(base)  # noqa: PTH112
    if os.path.exists(f"{base}/{_OUTPUT}"):  # noqa: PTH110
        raise ConfigError("source:output", f"{base} is the output of a run: give its shards, {base}/shards/g...")
    above = base if is_folder else os.path.dirname(base)  # noqa: PTH120
    found = sidecars or Sidecars(above, remarks)
    for path in _files(base, remarks) if is_folder else [base]:
        if not found.has(path):
            yield from _file(path, _relative(path, above), found.say(path))


class Sidecars:
    """The sidecars of the folders below `root`, and of itself; each is read once, or again after many others."""

    def __init__(self, root: str | Path, remarks: Remarks) -> None:
        self._root = os.path.abspath(root)  # noqa: PTH100
        self._of: Callable[[str], sidecar.Notes] = lru_cache(_FOLDERS)(partial(_sidecar, remarks))

    def has(self, path: str) -> bool:
        """Whether the file is a sidecar, not a source."""
        folder, name = os.path.split(path)
        return name in sidecar.NAMES and self._of(folder).name == name

    def say(self, path: str) -> dict[str, str] | None:
        """What is said of a file; None where there is no sidecar that could."""
        said: dict[str, str] | None = None
        folder = ""
        while folder not in {self._root, "/"}:
            folder = os.path.dirname(folder or path)  # noqa: PTH120
            notes = self._of(folder)
            name = _relative(path, folder)
            if name in notes.of:
                return notes.of[name]
            said = said if notes.name is None else {}
        return said


def _sidecar(remarks: Remarks, folder: str) -> sidecar.Notes:
    notes = sidecar.read(lambda name: _load(Path(folder) / name), folder, remarks)
    remarks.add(NAMELESS, f"{folder}/{notes.name}", _nameless(folder, notes.of))
    return notes


def _nameless(folder: str, names: Iterable[str]) -> list[str]:
    """The names that no file below `folder` has; to list a folder once is quicker than to ask for each name."""
    files = lru_cache(_FOLDERS)(_files_of)
    found = []
    for name in names:
        inner, base = os.path.split(name)
        is_inside = name == os.path.normpath(name) and not name.startswith(("/", "../"))  # else it meets no file
        if not is_inside or base not in files(f"{folder}/{inner}"):
            found.append(name)
    return found


def _files_of(folder: str) -> frozenset[str]:
    try:
        with os.scandir(folder) as entries:
            return frozenset(one.name for one in entries if one.is_file(follow_symlinks=False) or not _leads_in(one))
    except OSError:  # none there, or it is no folder; one that may not be read is said where it is walked
        return frozenset()


def _leads_in(one: "os.DirEntry[str]") -> bool:
    """Whether it is a folder, or a link to one; a link to itself is none."""
    try:
        return one.is_dir()
    except OSError:
        return False


def _load(path: Path) -> bytes | None:
    try:
        return path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise ConfigError("source:sidecar", f"{path} cannot be read ({error.strerror}): grant access") from None


def _relative(path: str, folder: str) -> str:
    return path[len(folder) :].lstrip("/")


def _files(base: str, remarks: Remarks) -> Iterator[str]:
    """All files below `base`. Links to folders are not entered (they may loop), nor are output folders of klear: what
    a run wrote is not its source.

    Raises ConfigError for a folder that cannot be read: what is in it would be missing without a word.
    """
    for folder, folders, files in os.walk(base, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not os.path.exists(f"{folder}/{name}/{_OUTPUT}"))  # noqa: PTH110
        links = [name for name in folders if os.path.islink(f"{folder}/{name}")]  # noqa: PTH114
        remarks.add(LINKS, folder, links)
        yield from (f"{folder}/{name}" if folder != "/" else f"/{name}" for name in sorted(files))


def _unreadable(error: OSError) -> None:
    raise ConfigError("source:unreadable", f"cannot list {error.filename!r}: {error.strerror}; grant access or move it")


def _file(path: str, name: str, notes: dict[str, str] | None) -> Iterator[Row]:
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
