"""Status: what became of every source and clip so far, and what is left of each job; at any time, also while one runs.

From the tables, the plans and the events alone, a few buckets at a time: in bounded memory, however many clips.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from manifests.catalog import Catalog
from manifests.query import connect, groups, rows
from pipeline import console
from pipeline.jobs import progress

CLIPS = ("total", "ok", "kept", "rejected", "quarantined", "pending")
OUTCOMES = ("ok", "ineligible", "duplicate", "quarantined", "pending")


def of(catalog: Catalog) -> dict[str, Any]:
    """Counts of sources and clips by outcome, causes of quarantine, the shards of the newest generation, and `jobs`, a
    row a job as `progress.of` says.

    Row conservation: sources total = ok + ineligible + duplicate + quarantined + pending;
    clips total = ok + quarantined + pending, and ok = kept + rejected.
    """
    con = connect(catalog, asked="listing sources shards")
    have = set(catalog.names())
    stages = sorted(name for name in have if "." in name)
    clips = Counter(dict.fromkeys(CLIPS, 0))
    causes: Counter[str] = Counter()
    for one in _by_group(catalog, stages):
        clips.update(_clips(one, have))
        causes.update(_causes(one, "SELECT error_code, count(DISTINCT clip_id) n FROM bad GROUP BY ALL"))
    if "sources" in have:
        sql = "SELECT error_code, count(*) n FROM sources WHERE outcome = 'quarantined' GROUP BY ALL"
        causes.update(_causes(con, sql))
    return {
        "sources": _sources(con, have),
        "clips": {name: clips[name] for name in CLIPS},
        "causes": dict(sorted(causes.items())),
        "jobs": progress.of(catalog),
        "shards": rows(con, "SELECT shard AS name, sha256, count FROM shards ORDER BY ALL") if "shards" in have else [],
    }


def show(found: Mapping[str, Any]) -> None:
    """The counts, a table of the jobs, what befell them, and the parts that were started and are not committed."""
    console.outcome("status", {name: value for name, value in found.items() if name not in {"jobs", "shards"}})
    _show_jobs(found["jobs"])
    troubled = [job for job in found["jobs"] if job["started"] or job["lost_attempts"] or job["deaths"]]
    if troubled:
        body = [[job["job"], job["started"], job["lost_attempts"], _told(job["deaths"])] for job in troubled]
        console.rows("Under way, and lost", ["job", "started", "lost attempts", "deaths"], body)
    leases = [[job["job"], *lease.values()] for job in found["jobs"] for lease in job["leases"]]
    if leases:
        console.rows("Started and not committed", ["job", "part", "attempt", "host", "pid", "age, s"], leases)


def _show_jobs(jobs: list[dict[str, Any]]) -> None:
    """The table of the jobs; rates only while one has any, so that it is as narrow as can be."""
    keys = {"job": "job", "parts": "parts", "parts_left": "left", "rows": "rows", "rows_left": "left"}
    if any(job["rows_per_second"] is not None for job in jobs):
        keys |= {"rows_per_second": "rows/s", "eta_s": "ETA, s"}
    body = [[job[key] for key in keys] for job in jobs]
    body += [
        [{"job": "  " + stage["stage"], **counts, **stage}.get(key, "") for key in keys]
        for job in jobs
        for counts in [{"parts": job["parts"], "rows": job["rows"]}]
        for stage in job["stages"]
        if stage["parts_left"]
    ]
    console.rows("Jobs, and unfinished tables", list(keys.values()), body)


def _told(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count}" for name, count in counts.items())


def _by_group(catalog: Catalog, stages: list[str]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for each group of buckets, with the table `bad`: what each stage has quarantined."""
    bad = " UNION ALL ".join(
        f"SELECT clip_id, error_code FROM \"{name}\" WHERE status = 'quarantined'" for name in stages
    )
    bad = bad or "SELECT NULL::BLOB AS clip_id, NULL::VARCHAR AS error_code WHERE false"
    for some in groups(catalog):
        con = connect(catalog, some, f"clips verdicts {bad}")
        con.execute(f"CREATE TEMP TABLE bad AS SELECT * FROM ({bad}) WHERE clip_id IN (SELECT clip_id FROM clips)")
        yield con


def _sources(con: duckdb.DuckDBPyConnection, have: set[str]) -> dict[str, int]:
    if "listing" not in have:
        return dict.fromkeys(("total", *OUTCOMES), 0)
    total = _one(con, "SELECT count(DISTINCT uri) FROM listing")
    counted: dict[str, int] = {}
    if "sources" in have:
        counted = {r["outcome"]: r["n"] for r in rows(con, "SELECT outcome, count(*) n FROM sources GROUP BY ALL")}
    known = {name: counted.get(name, 0) for name in OUTCOMES}
    known["pending"] += total - sum(known.values())
    return {"total": total, **known}


def _clips(con: duckdb.DuckDBPyConnection, have: set[str]) -> dict[str, int]:
    total, bad = _one(con, "SELECT count(*) FROM clips"), _one(con, "SELECT count(DISTINCT clip_id) FROM bad")
    judged = {False: 0, True: 0}
    if "verdicts" in have:
        where = "clip_id NOT IN (SELECT clip_id FROM bad) AND clip_id IN (SELECT clip_id FROM clips)"
        judged |= dict(con.execute(f"SELECT keep, count(*) FROM verdicts WHERE {where} GROUP BY ALL").fetchall())
    kept, rejected = judged[True], judged[False]
    pending = total - kept - rejected - bad
    return dict(zip(CLIPS, (total, kept + rejected, kept, rejected, bad, pending), strict=True))


def _causes(con: duckdb.DuckDBPyConnection, sql: str) -> Counter[str]:
    """Error code -> how many, of a query that selects `error_code` and `n`."""
    return Counter({row["error_code"]: row["n"] for row in rows(con, sql)})


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])
