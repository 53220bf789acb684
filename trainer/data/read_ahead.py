"""Read-ahead: what is known to be wanted soon is fetched by a few threads, so much of it at a time and no more."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Calls `fetch(key)` in threads for the keys that were announced. Any thread may announce and take.

    threads: fetches under way together. most: results that are held or under way, taken ones not counted.
    """

    def __init__(self, fetch: Callable[[str], T], threads: int = 8, most: int = 64) -> None:
        self._fetch, self._threads, self._most = fetch, threads, most
        self._wanted: deque[str] = deque()
        self._coming: dict[str, Future[T]] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._lock = Lock()

    def announce(self, keys: Iterable[str]) -> None:
        """These keys will be taken, in this order, after those announced before."""
        with self._lock:
            self._wanted.extend(keys)
            self._start()

    def take(self, key: str) -> T:
        """The result for a key, fetched here and now when it was not announced. Raises what `fetch` raised."""
        with self._lock:
            future = self._coming.pop(key, None)
            if future is None and key in self._wanted:
                self._wanted.remove(key)
            self._start()
        return self._fetch(key) if future is None else future.result()

    def drop(self, key: str) -> None:
        """A key that was announced, once or more, is not wanted any more: it is had from elsewhere."""
        with self._lock:
            future = self._coming.pop(key, None)
            if future is not None:
                future.cancel()
            if key in self._wanted:
                self._wanted = deque(other for other in self._wanted if other != key)
            self._start()

    def forget(self) -> None:
        """Nothing that was announced is wanted any more."""
        with self._lock:
            self._wanted.clear()
            for future in self._coming.values():
                future.cancel()
            self._coming.clear()

    def _start(self) -> None:
        """Set to work what there is room for. A key that is under way already is not fetched twice."""
        while self._wanted and len(self._coming) < self._most:
            key = self._wanted.popleft()
            if key not in self._coming:
                self._pool = self._pool or ThreadPoolExecutor(self._threads, thread_name_prefix="klear-ahead")
                self._coming[key] = self._pool.submit(self._fetch, key)
