"""The one aggregate of a table: how many rows do not meet each check, over all rows, some buckets at a time.

Memory is that of some buckets, whatever the size of the table. The rows that did it are looked for afterwards, only
where there are any.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb

from manifests.catalog import Catalog
from manifests.expectations.checks import SHOWN, Check
from manifests.expectations.contract import EVERY_CLIP, Contract
from manifests.query import Buckets, connect, groups, register
from manifests.table import Table
from manifests.takedowns import clip_tables


@dataclass
class Counted:
    """What the aggregate says of one check. rows: of the table. bad: those that do not meet it. examples: up to SHOWN
    of them, each its key and the value."""

    check: Check
    rows: int = 0
    bad: int = 0
    examples: list[dict[str, Any]] = field(default_factory=list)


def count(catalog: Catalog, table: Table, contract: Contract, checks: Sequence[Check]) -> list[Counted]:
    """Every check over all rows of a table."""
    found = [Counted(check) for check in checks]
    for piece in pieces(catalog, table, wide=any(ref.wide for ref in contract.refers)):
        con = _connect(catalog, table, contract, piece)
        asked = ", ".join(["count(*)", *(check.count for check in checks)])
        rows, *bad = con.execute(f'SELECT {asked} FROM "{table.name}"').fetchall()[0]
        for one, number in zip(found, bad, strict=True):
            one.rows += rows
            one.bad += number
            if number and len(one.examples) < SHOWN:
                one.examples += _examples(con, one.check, SHOWN - len(one.examples))
    return found


def pieces(catalog: Catalog, table: Table, wide: bool = False) -> Sequence[Buckets]:
    """What is looked at at a time: groups of buckets, where all that is said of a key lies in one; else everything.

    wide: rows refer to rows of other buckets.
    """
    if wide or table.schema.names[0] != "clip_id" or table.places(None):
        return [None]
    known = groups(catalog)
    strays = sorted({bucket for bucket in table.buckets() if bucket is not None}.difference(*known))
    return [*known, *([strays] if strays else [])] or [None]


def _connect(catalog: Catalog, table: Table, contract: Contract, piece: Buckets) -> duckdb.DuckDBPyConnection:
    others = {reference.other for reference in contract.refers}
    con = connect(catalog, piece, " ".join([table.name, *sorted(others - {EVERY_CLIP})]))
    if EVERY_CLIP in others:
        views = []
        for number, clips in enumerate(clip_tables(catalog)):
            views.append(f"SELECT clip_id FROM clips_{number}")
            register(con, clips, view=f"clips_{number}", bucket=piece)
        con.execute(f"CREATE OR REPLACE TEMP VIEW {EVERY_CLIP} AS {' UNION ALL '.join(views)}")
    return con


def _examples(con: duckdb.DuckDBPyConnection, check: Check, most: int) -> list[dict[str, Any]]:
    result = con.execute(f"{check.offenders} LIMIT {most}")
    names = [column[0] for column in result.description or []]
    return [{name: plain(value) for name, value in zip(names, row)} for row in result.fetchall()]


def plain(value: Any) -> Any:
    """A value for people and for JSON: bytes as hex, lists and texts not too long."""
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return str(value)[:200]


def told(example: Mapping[str, Any]) -> str:
    """One row that did it, on one line."""
    return ", ".join(f"{name} = {value}" for name, value in example.items())
