"""Checks: each expectation of a table as SQL that counts the rows which do not meet it, and SQL that finds them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from manifests.expectations.contract import Contract, Reference, table_of

ROUNDING = 1e-9
"""By so much a float may be out of its range: a share that is summed up from parts may be a little above 1."""
SHOWN = 20
"""Rows that did it, of one check, at most."""


@dataclass(frozen=True)
class Check:
    """One expectation. kind: range | words | null | unique | reference | rule. column: "" for one of whole rows.

    count: an expression for the SELECT of the table's one aggregate. offenders: a query of the rows that did it.
    arguments: of the expectation, for those who read it.
    """

    kind: str
    column: str
    text: str
    count: str
    offenders: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Unique among the checks of a table."""
        return f"{self.kind} {self.column or self.text}"


def of(name: str, schema: pa.Schema, contract: Contract) -> list[Check]:
    """All checks of a table's rows."""
    shown = contract.key or _named_by(schema)
    found = [check for column in schema for check in _of_column(name, column, contract, shown)]
    found += [
        _where("rule", "", rule.text, f"NOT ({rule.sql})", name, (*shown, *rule.columns)) for rule in contract.rules
    ]
    found += [_reference(name, reference, shown) for reference in contract.refers]
    return [*found, *([_unique(name, contract.key)] if contract.key else [])]


def _named_by(schema: pa.Schema) -> tuple[str, ...]:
    """What tells rows apart that no key names: up to three plain columns."""
    plain = [column.name for column in schema if not pa.types.is_nested(column.type)]
    return tuple(plain[:3])


def _of_column(name: str, column: pa.Field, contract: Contract, shown: tuple[str, ...]) -> Iterator[Check]:
    held, quoted = (*shown, column.name), f'"{column.name}"'
    if not column.nullable:
        yield _where("null", column.name, "is never NULL", f"{quoted} IS NULL", name, held)
    if words := contract.words.get(column.name):
        listed = ", ".join(f"'{word}'" for word in words)
        text = f"is one of {', '.join(words)}"
        yield _where("words", column.name, text, f"{quoted} NOT IN ({listed})", name, held, value_set=list(words))
    if (broken := _out_of_range(column, contract)) is not None:
        low, high = contract.bounds(column)
        yield _where("range", column.name, _told(low, high), broken, name, held, min_value=low, max_value=high)


def _out_of_range(column: pa.Field, contract: Contract) -> str | None:
    """SQL of what a column of numbers, or of lists of them, must not be; None where it may be anything."""
    kind = column.type.value_type if pa.types.is_list(column.type) else column.type
    is_float = pa.types.is_floating(kind)
    low, high = contract.bounds(column)
    if not is_float and not (pa.types.is_integer(kind) and (low, high) != (None, None)):
        return None
    least, most = f'"{column.name}"', f'"{column.name}"'
    if kind is not column.type:
        least, most = f"list_min({least})", f"list_max({most})"
    broken = [f"NOT isfinite({least}) OR NOT isfinite({most})"] if is_float else []
    slack = ROUNDING if is_float else 0
    broken += [] if low is None else [f"{least} < {low - slack!r}"]
    broken += [] if high is None else [f"{most} > {high + slack!r}"]
    return " OR ".join(broken)


def _told(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "is a finite number"
    if low is None or high is None:
        return f"is at most {high:,}" if low is None else f"is at least {low:,}"
    return f"is from {low:,} to {high:,}"


def _where(
    kind: str, column: str, text: str, broken: str, table: str, shown: tuple[str, ...], **arguments: Any
) -> Check:
    # Not by WHERE: for it DuckDB leaves out row groups by their least and most value, of which a NaN is neither.
    row = ", ".join(f'"{one}" := "{one}"' for one in dict.fromkeys(shown))
    query = f'SELECT unnest(min(struct_pack({row}), {SHOWN}) FILTER ({broken})) AS found FROM "{table}"'
    query = f"SELECT unnest(found) FROM ({query})"
    return Check(kind, column, text, f"count(*) FILTER ({broken})", query, arguments)


def _unique(table: str, key: tuple[str, ...]) -> Check:
    columns = ", ".join(f'"{column}"' for column in key)
    whole = columns if len(key) == 1 else f"({columns})"
    counted = columns if len(key) == 1 else "*"
    again = f'SELECT {columns}, count(*) AS times FROM "{table}" WHERE {columns.split(",")[0]} IS NOT NULL '
    again += f"GROUP BY {columns} HAVING count(*) > 1 ORDER BY {columns}"
    text = f"{' and '.join(key)} {'is' if len(key) == 1 else 'are together'} unique"
    return Check("unique", "", text, f"count({counted}) - count(DISTINCT {whole})", again, {"key": list(key)})


def _reference(table: str, found: Reference, shown: tuple[str, ...]) -> Check:
    known = f'(SELECT {found.target} AS _known FROM "{found.other}")'
    orphans = f'"{table}" ANTI JOIN {known} ON "{found.column}" = _known WHERE "{found.column}" IS NOT NULL'
    orphans += f" AND {found.where}"
    other = table_of(found)
    text = f"is in {other}" if found.column == found.target else f"is a {found.target} of {other}"
    arguments = {"refers_to": f"{other}.{found.target}"}
    query = _select((*shown, found.column), orphans)
    return Check("reference", found.column, text, f"(SELECT count(*) FROM {orphans})", query, arguments)


def _select(columns: tuple[str, ...], source: str) -> str:
    listed = ", ".join(f'"{column}"' for column in dict.fromkeys(columns))
    return f"SELECT {listed} FROM {source} ORDER BY ALL"
