"""Columns: whether every Parquet file of a table has the table's columns, by name and type.

Only the ends of the files are read. A table in whose files a type differs is not asked anything else.
"""

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq

from manifests.catalog import Catalog
from manifests.query import open_duckdb
from manifests.table import Table

Node = tuple[str, str, int]
"""Of a Parquet schema, in preorder: name, type, number of children."""


def differences(catalog: Catalog, table: Table) -> tuple[int, list[dict[str, Any]]]:
    """(files, where they differ from the table's schema: column, found, wanted, files, the first of them).

    Whether a column may be NULL is left out: NULLs are counted by themselves.
    """
    paths = sorted({str(place.path) for place in table.all_places().values()})
    if not paths:
        return 0, []
    con = open_duckdb(catalog)
    with tempfile.TemporaryDirectory(prefix="klear-schema-") as folder:
        like = str(Path(folder) / "like.parquet")
        pq.write_table(table.schema.empty_table(), like)
        ((nodes, _, _),) = _schemas(con, [like])
    wanted = dict(_top(nodes))
    found: list[dict[str, Any]] = []
    for nodes, count, first in _schemas(con, paths):
        held = dict(_top(nodes))
        for name in [*wanted, *(held.keys() - wanted.keys())]:
            if held.get(name) != wanted.get(name):
                kinds = {"found": held.get(name, "absent"), "wanted": wanted.get(name, "no such column")}
                found.append({"column": name, **kinds, "files": count, "first": first.rpartition("/")[2]})
    return len(paths), sorted(found, key=lambda one: (one["column"], one["first"]))


def _schemas(con: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> list[tuple[list[Node], int, str]]:
    """The different schemas among these files: nodes, how many files have it, the first of them."""
    listed = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    kind = "concat_ws(' ', duckdb_type, type_length)"
    return con.execute(f"""
SELECT nodes, count(*), min(file_name) FROM (
    SELECT file_name, list((name, {kind}, coalesce(num_children, 0)) ORDER BY column_id) AS nodes
    FROM parquet_schema([{listed}]) GROUP BY file_name
) GROUP BY nodes ORDER BY 3""").fetchall()


def _top(nodes: Iterable[Node]) -> Iterator[tuple[str, str]]:
    """(name, type) of the columns: the children of the root, without what is below them."""
    rest = iter(nodes)
    root = next(rest)
    for _ in range(root[2]):
        name, kind, children = next(rest)
        yield name, kind
        _skip(rest, children)


def _skip(rest: Iterator[Node], count: int) -> None:
    for _ in range(count):
        _skip(rest, next(rest)[2])
