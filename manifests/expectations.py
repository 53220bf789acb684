"""What every table must fulfil, as great-expectations suites: schema, keys, ranges. A violation fails the job.

Values are checked on at most SAMPLE rows (all rows of a small table); keys and references by one aggregate query over
all rows, so that size is no limit.
"""

import logging
import os
from typing import Any

import duckdb
import pandas as pd

from manifests.catalog import Catalog
from manifests.errors import KlearError
from manifests.query import connect

SAMPLE = 100_000
_KEYS = {"sources": "source_key", "probes": "source_key", "cuts": "source_id", "shards": "shard"}
_REFERENCES = {"clips": ("source_id", "cuts", "source_id"), "cuts": ("source_id", "probes", "source_id")}
_SETS = {
    "outcome": ["ok", "ineligible", "duplicate", "quarantined", "pending"],
    "status": ["ok", "quarantined", "ineligible", "too_short"],
    "split": ["train", "val", "test"],
    "audio_class": ["single_speech", "multi_speech", "speech", "singing", "music", "sound", "unknown"],
}
_RANGES: dict[str, tuple[float | None, float | None]] = {
    "duration_s": (0, None),
    "frames": (1, None),
    "start_frame": (0, None),
    "start_us": (0, None),
    "width": (1, 65_536),
    "height": (1, 65_536),
    "fps": (0.1, 1_000),
    "attempts": (1, None),
    "count": (0, None),
    "bytes": (0, None),
    "lufs": (-200, 20),
    "bandwidth_hz": (0, 200_000),
    "av_offset_s": (-10, 10),
    "ovrl": (0, 5.5),
    "speakers": (0, 100),
    "compression_ratio": (0, None),  # of bytes: not a share
}


def check(catalog: Catalog, tables: list[str]) -> dict[str, int]:
    """Validate the current tables of these names; table -> expectations met.

    Raises KlearError `validate:failed` that lists, for every unmet expectation, the table, the column and the values.
    """
    con = connect(catalog)
    met: dict[str, int] = {}
    unmet: list[str] = []
    for name in tables:
        table = catalog.current(name)
        if table is None:
            continue
        results = [*_validate(name, _frame(con, name), _value_suite(table.schema))]
        results += _validate(f"{name} keys", _key_frame(con, name, table.schema.names[0]), _key_suite())
        met[name] = sum(result.success for result in results)
        unmet += [_complaint(name, result) for result in results if not result.success]
    if unmet:
        raise KlearError("validate:failed", "tables do not fulfil their expectations:\n  " + "\n  ".join(unmet))
    return met


def _frame(con: duckdb.DuckDBPyConnection, name: str) -> pd.DataFrame:
    """Rows as a frame; lists and ids are left to the aggregate query."""
    return con.execute(f'SELECT * FROM "{name}" USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (0)').df()


def _key_frame(con: duckdb.DuckDBPyConnection, name: str, first: str) -> pd.DataFrame:
    """One row: how many keys are not unique, and how many refer to nothing."""
    key = _KEYS.get(name, first)
    column, other, target = _REFERENCES.get(name, ("clip_id", "all_clips", "clip_id"))
    has = {row[0] for row in con.execute(f'DESCRIBE "{name}"').fetchall()}
    views = {row[0] for row in con.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall()}
    orphans = "0"
    if column in has and other in views and other != name:
        known = f'SELECT {target} FROM "{other}" WHERE {target} IS NOT NULL'
        orphans = f'(SELECT count(*) FROM "{name}" WHERE {column} NOT IN ({known}))'
    repeated = f'count(*) - count(DISTINCT "{key}")'
    return con.execute(f'SELECT {repeated} AS repeated_keys, {orphans} AS orphans FROM "{name}"').df()


def _value_suite(schema: Any) -> list[Any]:
    import great_expectations.expectations as gxe

    suite: list[Any] = [gxe.ExpectTableColumnsToMatchSet(column_set=schema.names, exact_match=True)]
    for column in schema:
        suite += [gxe.ExpectColumnValuesToNotBeNull(column=column.name)] if not column.nullable else []
        if column.name in _SETS:
            suite.append(gxe.ExpectColumnValuesToBeInSet(column=column.name, value_set=_SETS[column.name]))
        share = (0, 1) if column.name.endswith("_ratio") else (None, None)
        low, high = _RANGES.get(column.name, share)
        if low is not None or high is not None:
            suite.append(gxe.ExpectColumnValuesToBeBetween(column=column.name, min_value=low, max_value=high))
    return suite


def _key_suite() -> list[Any]:
    import great_expectations.expectations as gxe

    names = ("repeated_keys", "orphans")
    return [gxe.ExpectColumnValuesToBeBetween(column=name, min_value=0, max_value=0) for name in names]


def _validate(name: str, frame: pd.DataFrame, suite: list[Any]) -> list[Any]:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    asset = context.data_sources.add_pandas("tables").add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
    result = batch.validate(gx.ExpectationSuite(name=name, expectations=suite))
    return list(result.results)


def _complaint(table: str, result: Any) -> str:
    config = result.expectation_config
    arguments = {k: v for k, v in config.kwargs.items() if k not in {"batch_id", "column"}}
    column = config.kwargs.get("column", "")
    values = result.result.get("partial_unexpected_list") or result.result.get("details") or result.exception_info
    return f"{table}.{column}: {config.type} {arguments}: found {str(values)[:300]}"
