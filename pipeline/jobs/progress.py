"""Progress: what is done and left of each job, how fast it goes, and what was started and not committed.

From the notes of the jobs, listings of their tables, leases and the events that a running job writes every few seconds.
"""

import json
import time
from typing import Any

import pyarrow as pa

from manifests import files
from manifests.catalog import Catalog
from manifests.query import connect, rows
from manifests.table import Table
from pipeline.engine import note
from pipeline.engine.note import Note

WINDOW_S = 300.0
"""The rate is that of the parts that ended in so many last seconds, or in as many as the longest part took."""
SHOWN = 20
"""Leases told of a job at most, the oldest; all are counted."""
_ORDER = ("probe", "cut", "measure", "annotate", "shard")


def of(catalog: Catalog) -> list[dict[str, Any]]:
    """A row a job, in the order of a run. Parts and rows planned and left, of the job and of each of its tables;
    rows a second and the seconds left at that rate, None while nothing is running; processes that died, attempts that
    were lost (a worker or a node with them), and the oldest leases of parts that are not committed."""
    notes = sorted(note.read_all(catalog.root), key=_place)
    recent, troubles = _recent(catalog), _troubles(catalog)
    return [_job(catalog, told, recent.get(told.job), troubles.get(told.job, {})) for told in notes]


def _place(told: Note) -> tuple[int, str]:
    kind = told.job.partition(".")[0]
    return (_ORDER.index(kind) if kind in _ORDER else len(_ORDER), told.job)


def _job(catalog: Catalog, told: Note, recent: dict[str, Any] | None, trouble: dict[str, Any]) -> dict[str, Any]:
    stages, missing = [], set()
    for name, recipe in told.tables:
        have = Table(catalog.root, name, recipe, pa.schema([])).published()
        left = told.parts.keys() - have
        missing |= left
        stages.append({"stage": name, "parts_left": len(left), "rows_left": sum(told.parts[part] for part in left)})
    rows_left = sum(told.parts[part] for part in missing)
    rate = _rate(recent)
    leases = _leases(catalog, told, missing)
    return {
        "job": told.job,
        "unit": told.unit,
        "parts": len(told.parts),
        "parts_left": len(missing),
        "rows": sum(told.parts.values()),
        "rows_left": rows_left,
        "rows_per_second": rate if missing else None,
        "eta_s": round(rows_left / rate, 1) if rate and missing else None,
        "deaths": trouble.get("deaths", {}),
        "lost_attempts": trouble.get("lost", 0),
        "started": len(leases),
        "leases": leases[:SHOWN],
        "stages": stages,
    }


def _rate(recent: dict[str, Any] | None) -> float | None:
    """Rows a second over the window, or over the time since the first of its parts was begun, if that is less."""
    if recent is None:
        return None
    seconds = min(recent["window_s"], time.time() - recent["since_s"])
    return round(recent["rows"] / max(seconds, 1e-3), 3)


def _recent(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Job -> its window, and of the parts that ended in it: rows, and when the first was begun.

    A window shorter than a part takes says little: one worker ends one in it, and then none for long.
    """
    if catalog.current("events") is None:
        return {}
    windows = f"SELECT *, greatest({WINDOW_S}, max(seconds) OVER (PARTITION BY job)) AS window_s FROM events"
    asked = (
        "SELECT job, any_value(window_s) AS window_s, sum(rows)::BIGINT AS rows, min(started_s) AS since_s "
        f"FROM ({windows}) WHERE started_s + seconds > {time.time()} - window_s GROUP BY job"
    )
    return {row["job"]: row for row in rows(connect(catalog, asked="events"), asked)}


def _troubles(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """Job -> deaths by how they ended, and attempts that ended without a trace: of a worker, or the node under it."""
    if catalog.current("events") is None:
        return {}
    con = connect(catalog, asked="events")
    found: dict[str, dict[str, Any]] = {}
    died = "SELECT job, ending, count(*) AS n FROM (SELECT job, unnest(deaths) AS ending FROM events) GROUP BY ALL"
    for row in rows(con, f"{died} ORDER BY ALL"):
        found.setdefault(row["job"], {}).setdefault("deaths", {})[row["ending"]] = row["n"]
    tried = "SELECT job, part, max(attempt) AS tries, count(*) FILTER (attempt > 0) AS told FROM events GROUP BY ALL"
    for row in rows(con, f"SELECT job, sum(greatest(tries - told, 0))::BIGINT AS n FROM ({tried}) GROUP BY ALL"):
        found.setdefault(row["job"], {})["lost"] = row["n"]
    return found


def _leases(catalog: Catalog, told: Note, missing: set[str]) -> list[dict[str, Any]]:
    """The last lease of each part that was started and is not committed, the oldest first."""
    folder = catalog.root / told.leases
    started = sorted(missing & set(files.folders(folder))) if missing else []
    found = [_lease(folder / part, part) for part in started]
    return sorted((lease for lease in found if lease), key=lambda lease: -lease["age_s"])


def _lease(folder: files.AnyPath, part: str) -> dict[str, Any]:
    attempts = files.names(folder)
    if not attempts:
        return {}
    told = json.loads(files.read(folder / attempts[-1]))
    age = round(time.time() - told["started_s"], 1)
    return {"part": part, "attempt": len(attempts), "host": told["host"], "pid": told["pid"], "age_s": age}
