"""Status: what became of every source and clip so far, from the tables alone; at any time, also while a job runs."""

from typing import Any

import duckdb

from manifests.catalog import Catalog
from manifests.query import connect, rows

OUTCOMES = ("ok", "ineligible", "duplicate", "quarantined", "pending")


def of(catalog: Catalog) -> dict[str, Any]:
    """Counts of sources and clips by outcome, causes of quarantine, and the shards of the newest generation.

    Row conservation: sources total = ok + ineligible + duplicate + quarantined + pending;
    clips total = ok + quarantined + pending, and ok = kept + rejected.
    """
    con = connect(catalog)
    have = set(catalog.names())
    stages = sorted(name for name in have if "." in name)
    return {
        "sources": _sources(con, have),
        "clips": _clips(con, have, stages),
        "causes": _causes(con, have, stages),
        "shards": rows(con, "SELECT shard AS name, sha256, count FROM shards ORDER BY ALL") if "shards" in have else [],
    }


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


def _clips(con: duckdb.DuckDBPyConnection, have: set[str], stages: list[str]) -> dict[str, int]:
    names = ("total", "ok", "kept", "rejected", "quarantined", "pending")
    if "clips" not in have:
        return dict.fromkeys(names, 0)
    total = _one(con, "SELECT count(*) FROM clips")
    bad = _one(con, f"SELECT count(*) FROM clips WHERE clip_id IN ({_quarantined(stages)})") if stages else 0
    judged = {False: 0, True: 0}
    if "verdicts" in have:
        where = f"WHERE clip_id NOT IN ({_quarantined(stages)})" if stages else ""
        judged |= {r["keep"]: r["n"] for r in rows(con, f"SELECT keep, count(*) n FROM verdicts {where} GROUP BY ALL")}
    kept, rejected = judged[True], judged[False]
    pending = total - kept - rejected - bad
    return dict(zip(names, (total, kept + rejected, kept, rejected, bad, pending), strict=True))


def _quarantined(stages: list[str]) -> str:
    return " UNION ".join(f"SELECT clip_id FROM \"{name}\" WHERE status = 'quarantined'" for name in stages)


def _causes(con: duckdb.DuckDBPyConnection, have: set[str], stages: list[str]) -> dict[str, int]:
    """Error code -> sources and clips quarantined for it."""
    parts = [
        f"SELECT clip_id AS id, error_code FROM \"{name}\" JOIN clips USING (clip_id) WHERE status = 'quarantined'"
        for name in stages
    ]
    if "sources" in have:
        parts.append("SELECT source_key AS id, error_code FROM sources WHERE outcome = 'quarantined'")
    if not parts:
        return {}
    sql = f"SELECT error_code, count(DISTINCT id) n FROM ({' UNION ALL '.join(parts)}) GROUP BY ALL ORDER BY ALL"
    return {r["error_code"]: r["n"] for r in rows(con, sql)}


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])
