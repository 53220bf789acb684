"""Pieces of shards, by place: from files that stay open on a disk, by range requests from a bucket.

On a disk one `pread` copies a piece from the page cache into memory of its own. (A memory map would save that copy, but
a shard that is cut short under it, or a network disk that fails, kills the process by SIGBUS instead of an error.)
"""

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np

from manifests import files
from manifests.errors import MediaError
from manifests.files import AnyPath
from trainer.data.index import Place

_OPEN = 256
"""Files that are open at a time."""


class ShardReader:
    """Reads pieces of the shards of one folder; may be called from many threads at once."""

    def __init__(self, folder: AnyPath) -> None:
        self.folder = folder
        self._open: OrderedDict[str, _File] = OrderedDict()
        self._lock = Lock()

    def __getstate__(self) -> dict[str, object]:
        return {"folder": self.folder}

    def __setstate__(self, state: dict[str, AnyPath]) -> None:
        self.__init__(state["folder"])  # type: ignore[misc]

    def read(self, place: Place) -> np.ndarray:
        """The bytes of a piece: uint8 (size,), memory of its own.

        Raises MediaError `latents:absent` without the shard, `latents:short` when it ends before the piece does; an
        error of the disk or the network that lasts as `manifests.files.again` raises it.
        """
        try:
            data = self._on_disk(place) if files.is_local(self.folder) else self._in_bucket(place)
        except FileNotFoundError:
            raise MediaError("latents:absent", "there is no such shard") from None
        if len(data) < place.size:
            raise MediaError("latents:short", f"the shard ends after {len(data)} of {place.size} bytes")
        return data

    def _in_bucket(self, place: Place) -> np.ndarray:
        data = files.read_range(self.folder / place.shard, place.offset, place.size)
        return np.frombuffer(bytearray(data), np.uint8)

    def _on_disk(self, place: Place) -> np.ndarray:
        file = self._file(place.shard)
        return files.again(lambda: _pread(file.descriptor, place), self.folder / place.shard)

    def _file(self, shard: str) -> "_File":
        with self._lock:
            if shard not in self._open:
                self._open[shard] = _File(self.folder / shard)
                if len(self._open) > _OPEN:
                    self._open.popitem(last=False)  # closed when no thread reads it any more
            self._open.move_to_end(shard)
            return self._open[shard]


class _File:
    """An open file, closed with its last reference."""

    def __init__(self, path: Path) -> None:
        self.descriptor = -1
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)


def _pread(descriptor: int, place: Place) -> np.ndarray:
    data = np.empty(place.size, np.uint8)
    view, done = memoryview(data), 0  # type: ignore[arg-type]
    while done < place.size:
        got = os.preadv(descriptor, [view[done:]], place.offset + done)
        if not got:
            return data[:done]
        done += got
    return data
