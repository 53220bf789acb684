"""Check tables: the columns of their files, then all their rows; what great-expectations says of it, table by table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from manifests.catalog import Catalog
from manifests.expectations import aggregate, checks, columns, contract
from manifests.expectations.contract import Declared
from manifests.table import Table

NAMED = 3
"""Rows that did it, of one expectation, in the text of an error."""


@dataclass(frozen=True)
class Unmet:
    """An expectation that is not met. bad: of how many `rows`. examples: rows that did it, each its key and the value
    (of columns: files)."""

    table: str
    column: str
    text: str
    bad: int
    rows: int
    examples: list[dict[str, Any]]

    def line(self) -> str:
        """For people: the table and column, what is expected, how many rows are not so, the first of them."""
        name = f"{self.table}.{self.column}" if self.column else self.table
        found = "; ".join(aggregate.told(example) for example in self.examples[:NAMED])
        return f"{name} {self.text}: not so in {self.bad:,} of {self.rows:,}: {found}"


@dataclass(frozen=True)
class Validated:
    """A table that was checked. result: what great-expectations says (ExpectationSuiteValidationResult)."""

    table: str
    rows: int
    met: int
    unmet: list[Unmet]
    readable: bool = True  # every file has the columns, so that the table can be asked
    result: Any = field(repr=False, default=None)


def tables(catalog: Catalog, names: Iterable[str], declared: Mapping[str, Declared]) -> list[Validated]:
    """Check the current tables of these names; those without one are left out. declared: by table, of its stage."""
    found = catalog.currents(names)
    if not found:
        return []
    from manifests.expectations import suite

    within = suite.context()
    return [_table(catalog, table, declared.get(name, Declared()), within) for name, table in found.items()]


def _table(catalog: Catalog, table: Table, declared: Declared, within: Any) -> Validated:
    from manifests.expectations import suite

    told, counted = _looked_at(catalog, table, declared)
    cells: dict[str, dict[str, Any]] = {"columns": told}
    kinds = {column.name: str(column.type) for column in table.schema}
    text = "has the columns of its schema in every file, by name and type"
    expected = [suite.expectation("columns", "columns", "", text, {"columns": kinds}, "critical")]
    for one in counted:
        check = one.check
        cells[check.name] = {"rows": one.rows, "bad": one.bad, "examples": one.examples}
        expected.append(
            suite.expectation(check.kind, check.name, check.column, check.text, check.arguments, "critical")
        )
    result = suite.validate(within, table.name, cells, expected)
    rows = max((cell["rows"] for name, cell in cells.items() if name != "columns"), default=0)
    unmet = [_unmet(table.name, one, cells) for one in result.results if not one.success]
    return Validated(table.name, rows, len(result.results) - len(unmet), unmet, not told["bad"], result)


def _looked_at(catalog: Catalog, table: Table, declared: Declared) -> tuple[dict[str, Any], list[aggregate.Counted]]:
    """(what is known of the files, the counts of the rows): none where the files are not the table's, or damaged."""
    try:
        files, differing = columns.differences(catalog, table)
        told = {"rows": files, "bad": sum(one["files"] for one in differing), "examples": differing}
        return told, [] if differing else _counted(catalog, table, declared)
    except duckdb.Error as error:
        unread = {"error": str(error).splitlines()[0][:300]}
        return {"rows": len(table.all_places()), "bad": 1, "examples": [unread]}, []


def _counted(catalog: Catalog, table: Table, declared: Declared) -> list[aggregate.Counted]:
    agreed = contract.of(table.name, table.schema, declared, catalog.names())
    return aggregate.count(catalog, table, agreed, checks.of(table.name, table.schema, agreed))


def _unmet(table: str, result: Any, cells: Mapping[str, Mapping[str, Any]]) -> Unmet:
    asked = result.expectation_config
    cell = cells[asked.kwargs["cell"]]
    column = asked.kwargs.get("column", "")
    text = str(asked.description).removeprefix(f"{column} ")
    return Unmet(table, column, text, cell["bad"], cell["rows"], list(cell["examples"]))
