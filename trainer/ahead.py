"""Items made ahead of time by one background thread, in order."""

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_LOOK_S = 0.1
"""How often a thread with a full queue looks whether it should end."""


class Ahead(Generic[T]):
    """Takes `depth` items of an iterator before they are asked for. Close it: the thread then ends with its item."""

    def __init__(self, items: Iterator[T], depth: int) -> None:
        self._items = items
        self._ready: queue.Queue[T | BaseException] = queue.Queue(depth)
        self._ended = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="feed", daemon=True)
        self._thread.start()

    def next(self) -> T:
        """The next item; waits for it. An error of the iterator is raised here, with the traceback it had there."""
        if self._failed is None:
            item = self._ready.get()
            if not isinstance(item, BaseException):
                return item
            self._failed = item
        raise self._failed

    def close(self) -> None:
        """Drop what is ready and wait for the thread."""
        self._ended.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            for item in self._items:
                if not self._give(item):
                    return
            raise RuntimeError("an iterator that should never end has ended")
        except BaseException as error:  # whatever it was, the loop must hear of it
            self._give(error)

    def _give(self, item: T | BaseException) -> bool:
        while not self._ended.is_set():
            try:
                self._ready.put(item, timeout=_LOOK_S)
                return True
            except queue.Full:
                continue
        return False
