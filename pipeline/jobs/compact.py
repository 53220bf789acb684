"""Compact: fold the many small files of the current tables into few large ones. Says nothing new, loses nothing."""

import time
from collections import Counter
from typing import Any

from manifests import compact
from manifests.catalog import Catalog


def run(catalog: Catalog, keep_s: float = compact.KEEP_S) -> dict[str, Any]:
    """Compact every current table, bucket by bucket; what was done, by table where anything was.

    Safe at any time, beside running jobs and other compactions. keep_s: replaced files stay so long, seconds.
    """
    started = time.monotonic()
    tables: dict[str, dict[str, int]] = {}
    total: Counter[str] = Counter(parts_folded=0, files_written=0, files_removed=0)
    for name, table in catalog.currents(catalog.names()).items():
        done: Counter[str] = Counter()
        for bucket in table.buckets():
            found = compact.compact(table, bucket, keep_s)
            done.update(parts_folded=found.parts, files_written=found.written, files_removed=found.removed)
        if any(done.values()):
            tables[name] = dict(done)
        total.update(done)
    return {"job": "compact", **total, "tables": tables, "seconds": round(time.monotonic() - started, 2)}
