"""Wanted keys, a bucket at a time: asked of the tables in SQL, so that no process ever holds them all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from manifests.catalog import Catalog
from manifests.query import buckets, connect, register
from manifests.schema import ID
from manifests.table import Table

WANTED = pa.schema([pa.field("key", ID, False), pa.field("place", ID, False)])


class Wanted(Protocol):
    """The keys that a job is to do."""

    def buckets(self) -> list[int]:
        """Buckets that may hold some."""
        ...

    def of(self, bucket: int) -> pa.Table:
        """The wanted keys of one bucket: `key`, and `place`, the source (id or key) that orders them."""
        ...


@dataclass(frozen=True)
class Listed:
    """Keys at hand: key -> bucket. For few of them."""

    keys: Mapping[bytes, int]

    def buckets(self) -> list[int]:
        """Buckets of the keys."""
        return sorted(set(self.keys.values()))

    def of(self, bucket: int) -> pa.Table:
        """The keys of one bucket; each is its own place."""
        column = pa.array(sorted(key for key, number in self.keys.items() if number == bucket), ID)
        return pa.table([column, column], schema=WANTED)


@dataclass(frozen=True)
class Asked:
    """Keys by a query over the current tables (and `more`), which selects `key` and `place`."""

    catalog: Catalog
    sql: str
    more: Sequence[Table] = ()

    def buckets(self) -> list[int]:
        """Buckets of the clips, and of the tables given."""
        return buckets(self.catalog, self.more)

    def of(self, bucket: int) -> pa.Table:
        """The query's answer over one bucket of every table."""
        con = connect(self.catalog, bucket, self.sql)
        for table in self.more:
            register(con, table, bucket=bucket)
        found: pa.Table = con.sql(self.sql).to_arrow_table()
        return found.cast(WANTED)
