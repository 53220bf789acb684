"""The checks of a table as a great-expectations suite, validated on the table's aggregate.

The batch is one row: a cell for each check, with what the aggregate counted and the rows that did it. So what is
validated is every row of the table, and what great-expectations holds in memory is one. Importing it takes seconds.
"""

import html
import logging
import os
from abc import ABC
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
logging.getLogger("great_expectations").setLevel(logging.ERROR)

import great_expectations as gx  # noqa: E402
from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: E402
from great_expectations.expectations.expectation import BatchExpectation  # noqa: E402
from great_expectations.render import LegacyDiagnosticRendererType, RenderedTableContent  # noqa: E402
from great_expectations.render.renderer.renderer import renderer  # noqa: E402

Cell = Mapping[str, Any]
"""What is known of one check: rows, bad, examples, and `observed` where it is not their share that tells."""


class _OfAggregate(BatchExpectation, ABC):
    """An expectation about rows that were counted before. cell: the batch's column that says how many."""

    cell: str
    metric_dependencies: ClassVar[tuple[str, ...]] = ("table.head",)

    def _validate(self, metrics: dict, runtime_configuration: Any = None, execution_engine: Any = None) -> dict:
        told: Cell = metrics["table.head"][self.cell].iloc[0]
        return {"success": not told["bad"], "result": _result(told)}

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.UNEXPECTED_TABLE)
    def _diagnostic_unexpected_table_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None
    ) -> Any:
        """The rows that did it, in the Data Docs. Values are data, and the pages escape nothing."""
        rows = (result.result.get("details") or {}).get("unexpected_rows") if result else None
        if not rows:
            return None
        cells = [[html.escape(str(value)) for value in row.values()] for row in rows]
        return [RenderedTableContent(content_block_type="table", table=cells, header_row=list(rows[0]))]

    @classmethod
    @renderer(renderer_type=LegacyDiagnosticRendererType.OBSERVED_VALUE)
    def _diagnostic_observed_value_renderer(
        cls, configuration: Any = None, result: Any = None, runtime_configuration: Any = None
    ) -> str:
        return html.escape(cls._get_observed_value_from_evr(result=result))


class _OfColumn(_OfAggregate, ABC):
    """Of the values of one column."""

    column: str
    domain_keys: ClassVar[tuple[str, ...]] = ("column", "batch_id")


class ExpectEveryFileToHaveColumns(_OfAggregate):
    """Every file of the table has its columns, by name and type."""

    columns: dict[str, str]


class ExpectEveryValueToBeSet(_OfColumn):
    """The column is never NULL."""


class ExpectEveryValueToBeBetween(_OfColumn):
    """Numbers are finite and in the range; NULL is none."""

    min_value: float | None = None
    max_value: float | None = None


class ExpectEveryValueToBeInSet(_OfColumn):
    """Values are among those that are known; NULL is none."""

    value_set: list[str]


class ExpectEveryValueToReferToARow(_OfColumn):
    """What the column names is there."""

    refers_to: str


class ExpectEveryKeyToBeUnique(_OfAggregate):
    """No two rows have the same key."""

    key: list[str]


class ExpectEveryRowToFulfil(_OfAggregate):
    """A condition on several columns."""


class ExpectColumnToBeAsInBaseline(_OfColumn):
    """A statistic of how far the column's values have moved from those of a baseline run is small."""

    statistic: str
    threshold: float


KINDS: dict[str, type[_OfAggregate]] = {
    "columns": ExpectEveryFileToHaveColumns,
    "null": ExpectEveryValueToBeSet,
    "range": ExpectEveryValueToBeBetween,
    "words": ExpectEveryValueToBeInSet,
    "reference": ExpectEveryValueToReferToARow,
    "unique": ExpectEveryKeyToBeUnique,
    "rule": ExpectEveryRowToFulfil,
    "drift": ExpectColumnToBeAsInBaseline,
}


def expectation(kind: str, cell: str, column: str, text: str, arguments: Mapping[str, Any], severity: str) -> Any:
    """One expectation. text: what is shown in place of its arguments. severity: critical | warning."""
    given: dict[str, Any] = {"cell": cell, "severity": severity, **arguments}
    given["description"] = f"{column} {text}" if column else text
    if column:
        given["column"] = column
    return KINDS[kind](**given)


def context() -> Any:
    """A context that keeps nothing on the disk and asks nobody."""
    found = gx.get_context(mode="ephemeral")
    found.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return found


def validate(within: Any, name: str, cells: Mapping[str, Cell], expectations: Sequence[Any]) -> Any:
    """The validation result of a suite of this name on these cells (cell -> what is known)."""
    data = within.data_sources.add_pandas(name)
    batch = data.add_dataframe_asset(name).add_batch_definition_whole_dataframe("all rows")
    frame = pd.DataFrame({cell: [told] for cell, told in cells.items()})
    suite = gx.ExpectationSuite(name=name, expectations=list(expectations))
    return batch.get_batch({"dataframe": frame}).validate(suite, result_format="COMPLETE")


def _result(told: Cell) -> dict[str, Any]:
    if "observed" in told:  # a statistic, not rows
        return {"observed_value": told["observed"]}
    rows, bad = told["rows"], told["bad"]
    found = {"element_count": rows, "unexpected_count": bad, "unexpected_percent": 100.0 * bad / rows if rows else 0.0}
    found["observed_value"] = f"{bad:,} of {rows:,} not so"
    return found | ({"details": {"unexpected_rows": list(told["examples"])}} if bad else {})
