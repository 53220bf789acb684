"""A journal: answers that cost money, each written down before it is used, so that none is ever paid for twice.

    OUT/cache/<stage>/b0012/<part>.jsonl             on a disk: a line an answer, appended and synced
    OUT/cache/<stage>/b0012/<part>/<clip>.<key>.json in a bucket, which cannot append: an object an answer

A process that is killed leaves at most one torn line, its last, which counts as nothing. Two that do the same part may
write to the same file: a line is one append.
"""

import json
import os
import threading
from dataclasses import dataclass, field
from operator import methodcaller
from pathlib import Path
from typing import Any

from manifests import files, parts
from manifests.files import AnyPath

FOLDER = "cache"
Record = dict[str, Any]


@dataclass
class Journal:
    """The answers of one stage for the clips of one part, by key. folder: of the stage. Threads may share it."""

    folder: AnyPath
    part: str
    _known: dict[str, Record] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def place(self) -> AnyPath:
        """Where the part's answers lie: a file on a disk, a folder in a bucket."""
        folder = self.folder / f"b{parts.bucket_of(self.part) or 0:04x}"
        return folder / (f"{self.part}.jsonl" if files.is_local(self.folder) else self.part)

    def get(self, clip: bytes, key: str) -> Record | None:
        """The answer that was written down under this key for this clip."""
        if files.is_local(self.folder):
            with self._lock:
                self._known = lines(Path(self.place)) if self._known is None else self._known
                return self._known.get(f"{clip.hex()}.{key}")
        try:
            found: Record = json.loads(files.read(self.place / f"{clip.hex()}.{key}.json"))
        except FileNotFoundError:
            return None
        return found

    def put(self, clip: bytes, key: str, record: Record) -> None:
        """Write an answer down; it is on the disk, or in the bucket, when this returns."""
        name = f"{clip.hex()}.{key}"
        if not files.is_local(self.folder):
            data = json.dumps(record, ensure_ascii=False).encode()
            files.publish(self.place / f"{name}.json", methodcaller("write", data))
            return
        with self._lock:
            _append(Path(self.place), json.dumps([name, record], ensure_ascii=False).encode() + b"\n")
            if self._known is not None:
                self._known[name] = record


def _append(path: Path, line: bytes) -> None:
    """One write, at the end; a torn line that a dead process left there is ended first, and counts as nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        torn = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        file.write(b"\n" + line if torn else line)
        os.fdatasync(file.fileno())


def lines(path: Path) -> dict[str, Record]:
    """Name (`<clip>.<key>`) -> answer, of all whole lines of a file; none when it is not there."""
    found: dict[str, Record] = {}
    if path.exists():
        for line in path.read_bytes().split(b"\n"):
            try:
                name, record = json.loads(line)
            except ValueError:
                continue
            found[name] = record
    return found


def forget(cache: AnyPath, bucket: int, clips: frozenset[bytes]) -> int:
    """Remove the answers for these clips of a bucket from the journals of all stages; how many files held some."""
    return sum(_forget(cache / stage / f"b{bucket:04x}", clips) for stage in files.folders(cache))


def _forget(folder: AnyPath, clips: frozenset[bytes]) -> int:
    hexes = {clip.hex() for clip in clips}
    found = [folder / name for name in files.names(folder) if name.endswith(".jsonl")]
    count = sum(_without(path, hexes) for path in found)
    for place in [] if files.is_local(folder) else [folder / name for name in files.folders(folder)]:
        gone = [name for name in files.names(place) if name.partition(".")[0] in hexes]
        for name in gone:
            files.remove(place / name)
        count += bool(gone)
    return count


def _without(path: AnyPath, hexes: set[str]) -> bool:
    known = lines(Path(path))
    kept = {name: record for name, record in known.items() if name.partition(".")[0] not in hexes}
    if len(kept) < len(known):
        data = b"".join(json.dumps([*entry], ensure_ascii=False).encode() + b"\n" for entry in kept.items())
        files.replace(path, methodcaller("write", data))
    return len(kept) < len(known)
