"""Fetch ahead: while one source of a part is worked on, the next ones are fetched already."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from pipeline.sources.store import Held, Store, is_in_place

Row = Mapping[str, Any]


class Sources(Protocol):
    """Whoever brings sources to this machine: a store, or one that works ahead. decoder: how to decode them here."""

    @property
    def decoder(self) -> str: ...

    def get(self, row: Row) -> Held:
        """The source of a row; raises as `Store.get`."""
        ...


@contextlib.contextmanager
def fetching(store: Store, rows: Iterable[Row]) -> Iterator[Sources]:
    """The store, for these rows in this order, with the next `sources.ahead` of their sources under way.

    A source that could not be fetched raises when it is asked for, not before, and is not tried twice.
    """
    remote = list({row["uri"]: row for row in rows if not row.get("refused") and not is_in_place(row)}.values())
    if not store.settings.ahead or len(remote) < 2:
        yield store
        return
    pool = ThreadPoolExecutor(store.settings.ahead, thread_name_prefix="klear-ahead")
    try:
        yield _Ahead(store, remote, pool)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class _Ahead:
    def __init__(self, store: Store, rows: list[Row], pool: ThreadPoolExecutor) -> None:
        self._store, self._rows, self._pool = store, rows, pool
        self._places = {row["uri"]: place for place, row in enumerate(rows)}
        self._futures: dict[int, Future[Held]] = {}
        self.decoder = store.decoder

    def get(self, row: Row) -> Held:
        """The source of a row, and a start on those after it."""
        here = self._places.get(row["uri"])
        if here is None:
            return self._store.get(row)
        for place in range(here, min(here + 1 + self._store.settings.ahead, len(self._rows))):
            if place not in self._futures:
                self._futures[place] = self._pool.submit(self._store.get, self._rows[place])
        self._futures[here].result()
        return self._store.get(row)  # pinned by whoever uses it, not only by whoever fetched it
