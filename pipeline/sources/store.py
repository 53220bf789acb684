"""The source store of a node: remote sources are fetched once, kept under their content, and shared by all workers.

    <cache>/sources/ab/<digest of the uri>/fetch.lock         who fetches this uri
                                          /partial, partial.json   what is there of it so far, and of which version
                                          /<content id>/clip.mp4   the source: a path whose content never changes
                                          /<content id>/about.json its version and size
                                          /<content id>/pin        locked (shared) by every process that uses it

Local files are used in place. What is fetched is pinned by the process that asked for it until it has asked for PINS
others, or ends. When the store outgrows its cap, the longest unused content that nobody pins is evicted.
"""

import json
import os
import re
import secrets
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.errors import MachineError, MediaError
from manifests.files import replace
from manifests.ids import digest, file_digest
from pipeline.config import SourceSettings
from pipeline.sources import locks
from pipeline.sources.evict import make_room
from pipeline.sources.partial import Partial
from pipeline.sources.uris import local_path, scheme_of, split_member

PINS = 16
GONE = frozenset({"source:gone", "source:forbidden", "source:opted_out"})
_pins: OrderedDict[Path, int] = OrderedDict()
_pins_lock = threading.Lock()


@dataclass(frozen=True)
class Held:
    """A source on this machine. size: bytes. content: its source_id; None for a local file, which nobody has hashed."""

    path: Path
    size: int
    version: str
    content: bytes | None


@dataclass(frozen=True)
class Store:
    """The sources of this node, fetched as the settings say."""

    settings: SourceSettings = field(default_factory=SourceSettings)

    @property
    def decoder(self) -> str:
        """How the settings have sources decoded on this machine: `cpu` or `cuda`."""
        return self.settings.decoder

    @property
    def root(self) -> Path:
        """The folder of the store, by default one a user in the system's temporary folder."""
        default = Path(tempfile.gettempdir()) / f"klear-cache-{os.getuid()}"
        return Path(self.settings.cache).expanduser() if self.settings.cache else default

    def get(self, row: Mapping[str, Any]) -> Held:
        """The source of a row of the listing, the probes or the clips, on this machine; fetched if it must be.

        Raises MediaError: `media:missing` (an ingested source that is gone), `media:changed` (it is another one now),
        and what the way of fetching raises of one that cannot be had. Raises MachineError when the network or the
        disk of this machine fails.
        """
        if is_in_place(row):
            return _in_place(row)
        try:
            return self._kept(row) or self._fetched(row)
        except OSError as error:
            raise MachineError("source:store", f"the source store {self.root}: {error}; see sources.cache") from error

    def _kept(self, row: Mapping[str, Any]) -> Held | None:
        """The source of the row if it is in the store, pinned."""
        folder, wanted = self._folder(row["uri"]), row.get("source_id")
        names = [wanted.hex()] if wanted else _contents(folder)
        for name in names:
            held = _pinned(folder / name)
            if held and (wanted or row["version"] in {"", held.version}):
                return held
        return None

    def _fetched(self, row: Mapping[str, Any]) -> Held:
        from pipeline.sources.fetch import fetch

        folder = self._folder(row["uri"])
        with locks.held(folder / "fetch.lock"):
            if held := self._kept(row):  # another worker was faster
                return held
            try:
                version = fetch(self, row, folder / "partial")
            except MediaError as error:
                if row.get("source_id") and error.code in GONE:
                    raise MediaError("media:missing", f"it was ingested, but now: {error.message}") from None
                raise
            content, size = file_digest(folder / "partial"), (folder / "partial").stat().st_size
            if row.get("source_id") not in {None, content}:
                Partial(folder / "partial").discard()
                raise changed(row)
            held = _install(folder, content, _safe_name(row["name"]), version, size)
        make_room(self.root, size, round(self.settings.cache_gb * 1e9))
        return held

    def forget(self, uri: str) -> bool:
        """Remove what this node has of a uri, in use or not; whether there was anything."""
        folder = self._folder(uri)
        if not folder.is_dir():
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True

    def _folder(self, uri: str) -> Path:
        name = digest(uri).hex()
        return self.root / "sources" / name[:2] / name


def is_in_place(row: Mapping[str, Any]) -> bool:
    """Whether a source is a file of its own on this machine: used where it lies, never copied."""
    return scheme_of(row["uri"]) == "file" and split_member(row["uri"])[1] is None


def changed(row: Mapping[str, Any]) -> MediaError:
    """The error of a source that is not what was ingested."""
    return MediaError("media:changed", f"{row['name']} is not what was ingested: ingest it again")


def _in_place(row: Mapping[str, Any]) -> Held:
    path, ingested = local_path(row["uri"]), bool(row.get("source_id"))
    try:
        stat = path.stat()
    except OSError as error:
        if ingested:
            raise MediaError("media:missing", f"{row['name']} cannot be read any more: {error.strerror}") from None
        return Held(path, 0, row["version"], None)  # the probe says what is wrong with it
    version = f"mtime:{stat.st_mtime_ns}"
    if ingested and (stat.st_size, version) != (row["bytes"], row["version"]):
        raise changed(row)
    return Held(path, stat.st_size, version, None)


def _contents(folder: Path) -> list[str]:
    """Content ids that the store has of one uri, the newest first."""
    try:
        found = [entry for entry in os.scandir(folder) if entry.is_dir() and len(entry.name) == 32]
    except FileNotFoundError:
        return []
    return [entry.name for entry in sorted(found, key=lambda entry: -entry.stat().st_mtime_ns)]


def _pinned(folder: Path) -> Held | None:
    """What lies in a content's folder, pinned; None when there is nothing, or nothing whole."""
    try:
        _pin(folder / "pin")
        about = json.loads((folder / "about.json").read_bytes())
        path = folder / about["file"]
        if path.stat().st_size == about["bytes"]:
            os.utime(folder / "pin")  # when it was used last
            return Held(path, about["bytes"], about["version"], bytes.fromhex(folder.name))
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        pass
    return None


def _pin(path: Path) -> None:
    """Lock the content's pin for this process, and let go of the one that was asked for longest ago."""
    with _pins_lock:
        if path in _pins:
            if locks.is_there(path, _pins[path]):
                _pins.move_to_end(path)
                return
            os.close(_pins.pop(path))
        if not path.parent.is_dir():
            raise FileNotFoundError(path)
        descriptor = locks.take(path, shared=True)
        assert descriptor is not None
        _keep(path, descriptor)


def _keep(path: Path, descriptor: int) -> None:
    """Hold a pin that is locked already; `_pins_lock` is held."""
    if path in _pins:
        os.close(_pins.pop(path))
    _pins[path] = descriptor
    while len(_pins) > PINS:
        os.close(_pins.popitem(last=False)[1])


def _install(folder: Path, content: bytes, name: str, version: str, size: int) -> Held:
    """Move what was fetched under its content, whole or not at all; pinned. Content that is there stays as it is."""
    place = folder / content.hex()
    there = _pinned(place)
    about = {"file": there.path.name if there else name, "version": version, "bytes": size}
    if there:
        replace(place / "about.json", lambda file: file.write(json.dumps(about).encode()))
        Partial(folder / "partial").discard()
        return Held(there.path, size, version, content)
    shutil.rmtree(place, ignore_errors=True)  # left half evicted, or damaged
    ready = folder / f"new-{secrets.token_hex(6)}"
    ready.mkdir()
    with (folder / "partial").open("rb") as file:
        os.fsync(file.fileno())
    (folder / "partial").rename(ready / name)
    (ready / "about.json").write_text(json.dumps(about))
    pin = locks.take(ready / "pin", shared=True)  # before it has its place, where others may evict it
    assert pin is not None
    ready.rename(place)
    Partial(folder / "partial").discard()
    with _pins_lock:
        _keep(place / "pin", pin)
    return Held(place / name, size, version, content)


def _safe_name(name: str) -> str:
    """The last part of a source's name as a file name that any tool takes; its suffix is kept."""
    base = re.sub(r"[^A-Za-z0-9._-]+", "_", re.split(r"[/#]", name.partition("?")[0])[-1]).lstrip("-.")[-80:]
    return base or "source"
