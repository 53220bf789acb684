"""Politeness towards hosts, by all workers of a node together: how many downloads at a time, and how far apart.

<cache>/hosts/<digest of the host>/slot-0, slot-1 ...   locked by whoever downloads; freed by dying
                                  /next                 when the next request may start, seconds since the epoch
                                  /answered             its name, written when it answers: the network works
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.ids import digest
from pipeline.config import SourceSettings
from pipeline.sources import locks

_LOOK_S = 0.05
_LOOK_MAX_S = 1.0


@dataclass(frozen=True)
class Hosts:
    """The turns of this node. root: of the source store."""

    root: Path
    settings: SourceSettings

    @contextlib.contextmanager
    def turn(self, host: str, delay_s: float = 0.0) -> Iterator[None]:
        """One of the host's downloads: waits for a free slot, then until the host may be asked again.

        delay_s: what the host itself asks for between requests, where that is more than the settings.
        """
        folder = self._folder(host)
        folder.mkdir(parents=True, exist_ok=True)
        slot = self._slot(folder)
        try:
            time.sleep(self._wait(folder, max(self.settings.delay_s, delay_s)))
            yield
        finally:
            os.close(slot)

    def hold_off(self, host: str, seconds: float) -> None:
        """Nobody of this node asks the host for so long (it said so)."""
        folder = self._folder(host)
        with locks.held(folder / "lock"):
            _write(folder / "next", max(_read(folder / "next"), time.time() + seconds))

    def answered(self, host: str) -> None:
        """The host has answered."""
        folder = self._folder(host)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "answered").write_text(host)

    def last_other(self, host: str) -> tuple[str, float] | None:
        """The host that answered last, of all but `host`, and when (seconds since the epoch)."""
        found = [path for path in self.root.glob("hosts/*/answered") if path.parent != self._folder(host)]
        newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
        return (newest.read_text(), newest.stat().st_mtime) if newest else None

    def _folder(self, host: str) -> Path:
        return self.root / "hosts" / digest(host.lower()).hex()

    def _slot(self, folder: Path) -> int:
        pause = _LOOK_S
        while True:
            for number in range(self.settings.per_host):
                slot = locks.take(folder / f"slot-{number}", wait=False)
                if slot is not None:
                    return slot
            time.sleep(pause)
            pause = min(pause * 1.5, _LOOK_MAX_S)

    def _wait(self, folder: Path, apart_s: float) -> float:
        """Seconds until this request may start; the one after it is put `apart_s` later."""
        with locks.held(folder / "lock"):
            now = time.time()
            latest = now + self.settings.backoff_max_s + apart_s * self.settings.per_host
            start = min(max(now, _read(folder / "next")), latest)  # a clock that was set back must not stop us
            _write(folder / "next", start + apart_s)
        return start - now


def _read(path: Path) -> float:
    try:
        return float(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0.0


def _write(path: Path, value: float) -> None:
    path.write_text(repr(value))
