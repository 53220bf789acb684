"""What every table must fulfil, as great-expectations suites: schema, keys, ranges. A violation fails the job.

Values are checked on at most SAMPLE rows (all rows of a small table), keys and references by aggregate queries over all
rows, where the key is a clip's a few buckets at a time, so that size is no limit.
"""

import logging
import os
from collections.abc import Sequence
from typing import Any

import pandas as pd

from manifests.catalog import Catalog
from manifests.errors import KlearError
from manifests.query import Buckets, connect, groups
from manifests.table import Table

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
    met: dict[str, int] = {}
    unmet: list[str] = []
    for name in tables:
        table = catalog.current(name)
        if table is None:
            continue
        some = _pieces(catalog, table)
        results = [*_validate(name, _frame(catalog, name, some), _value_suite(table.schema))]
        results += _validate(f"{name} keys", _key_frame(catalog, table, some), _key_suite())
        met[name] = sum(result.success for result in results)
        unmet += [_complaint(name, result) for result in results if not result.success]
    if unmet:
        raise KlearError("validate:failed", "tables do not fulfil their expectations:\n  " + "\n  ".join(unmet))
    return met


def _pieces(catalog: Catalog, table: Table) -> Sequence[Buckets]:
    """What is looked at at a time: groups of buckets, where all that is said of a key lies in one; else everything."""
    if table.schema.names[0] != "clip_id" or table.places(None):
        return [None]
    known = groups(catalog)
    strays = sorted({bucket for bucket in table.buckets() if bucket is not None}.difference(*known))
    return [*known, *([strays] if strays else [])] or [None]


def _frame(catalog: Catalog, name: str, some: Sequence[Buckets]) -> pd.DataFrame:
    """Rows as a frame, of the first buckets that hold enough: ids are hashes, so any bucket is a fair sample."""
    frames: list[pd.DataFrame] = []
    for piece in some:
        left = SAMPLE - sum(map(len, frames))
        con = connect(catalog, piece, name)
        frames.append(con.execute(f'SELECT * FROM "{name}" USING SAMPLE reservoir({left} ROWS) REPEATABLE (0)').df())
        if sum(map(len, frames)) >= SAMPLE:
            break
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


def _key_frame(catalog: Catalog, table: Table, some: Sequence[Buckets]) -> pd.DataFrame:
    """One row: how many keys are not unique, and how many refer to nothing."""
    name, first = table.name, table.schema.names[0]
    key = _KEYS.get(name, first)
    column, other, target = _REFERENCES.get(name, ("clip_id", "all_clips", "clip_id"))
    refers = column in table.schema.names and other != name and other.removeprefix("all_") in catalog.names()
    known = f'SELECT {target} FROM "{other}" WHERE {target} IS NOT NULL'
    orphans = f'(SELECT count(*) FROM "{name}" WHERE {column} NOT IN ({known}))' if refers else "0"
    asked = f'SELECT count(*) - count(DISTINCT "{key}") AS repeated_keys, {orphans} AS orphans FROM "{name}"'
    counts = [connect(catalog, piece, f"{asked} clips").execute(asked).df() for piece in some]
    return pd.concat(counts).sum().to_frame().T


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
