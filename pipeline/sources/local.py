"""Local directories and files as sources. Every file is listed: what it is turns out when it is probed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import ConfigError, printable
from manifests.ids import digest
from pipeline.sources import sidecar


@dataclass(frozen=True)
class SourceFile:
    """One raw input. `name` is relative to the root it was found under, and the same on every machine."""

    uri: str
    name: str
    size: int  # bytes
    mtime_ns: int
    info: dict[str, str]  # licence, attribution, url, transcript: what the sidecar file says of it

    @property
    def key(self) -> bytes:
        """The id of what was looked at: a changed file is another source."""
        return digest(self.uri, self.size, self.mtime_ns)


def find(roots: list[Path]) -> list[SourceFile]:
    """All files below the roots, sorted by uri, each once. Raises ConfigError for a root that is not there."""
    found: dict[str, SourceFile] = {}
    for root in roots:
        if not root.exists():
            raise ConfigError("source:missing", f"source {str(root)!r} does not exist: give a folder or a file")
        notes = sidecar.read(root) if root.is_dir() else sidecar.Notes({}, None)
        for path in _walk(root):
            if path != notes.path:
                name = printable(path.relative_to(root).as_posix() if root.is_dir() else path.name)
                source = _source(path, name, notes.of.get(name, {}))
                found.setdefault(source.uri, source)
    return [found[uri] for uri in sorted(found)]


def _walk(root: Path) -> Iterator[Path]:
    """All files below `root`. Links to folders are not entered (they may loop).

    Raises ConfigError for a folder that cannot be read: what is in it would be missing without a word.
    """
    if not root.is_dir():
        yield root
        return
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(files))


def _unreadable(error: OSError) -> None:
    raise ConfigError("source:unreadable", f"cannot list {error.filename!r}: {error.strerror}; grant access or move it")


def _source(path: Path, name: str, info: dict[str, str]) -> SourceFile:
    try:
        stat = path.stat()
        size, mtime = stat.st_size, stat.st_mtime_ns
    except OSError:  # a dangling link: it is listed, and quarantined when it is read
        size, mtime = 0, 0
    return SourceFile(path.absolute().as_uri(), name, size, mtime, info)
