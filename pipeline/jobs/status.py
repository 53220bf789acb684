"""Status: what became of every source and clip so far, from the tables alone; at any time, also while a job runs."""

from collections import Counter
from typing import Any

import duckdb

from manifests.catalog import Catalog
from manifests.query import buckets, connect, rows

CLIPS = ("total", "ok", "kept", "rejected", "quarantined", "pending")
OUTCOMES = ("ok", "ineligible", "duplicate", "quarantined", "pending")


def of(catalog: Catalog) -> dict[str, Any]:
    """Counts of sources and clips by outcome, causes of quarantine, and the shards of the newest generation.

    Row conservation: sources total = ok + ineligible + duplicate + quarantined + pending;
    clips total = ok + quarantined + pending, and ok = kept + rejected. Clips are counted bucket by bucket.
    """
    con = connect(catalog)
    have = set(catalog.names())
    stages = sorted(name for name in have if "." in name)
    clips = Counter(dict.fromkeys(CLIPS, 0))
    causes: Counter[str] = Counter()
    for bucket in buckets(catalog):
        one = connect(catalog, bucket)
        clips.update(_clips(one, have, stages))
        causes.update(_clip_causes(one, stages))
    return {
        "sources": _sources(con, have),
        "clips": {name: clips[name] for name in CLIPS},
        "causes": dict(sorted((causes + _source_causes(con, have)).items())),
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
    total = _one(con, "SELECT count(*) FROM clips")
    bad = _one(con, f"SELECT count(*) FROM clips WHERE clip_id IN ({_quarantined(stages)})") if stages else 0
    judged = {False: 0, True: 0}
    if "verdicts" in have:
        where = f"WHERE clip_id NOT IN ({_quarantined(stages)})" if stages else ""
        judged |= {r["keep"]: r["n"] for r in rows(con, f"SELECT keep, count(*) n FROM verdicts {where} GROUP BY ALL")}
    kept, rejected = judged[True], judged[False]
    pending = total - kept - rejected - bad
    return dict(zip(CLIPS, (total, kept + rejected, kept, rejected, bad, pending), strict=True))


def _quarantined(stages: list[str]) -> str:
    return " UNION ".join(f"SELECT clip_id FROM \"{name}\" WHERE status = 'quarantined'" for name in stages)


def _clip_causes(con: duckdb.DuckDBPyConnection, stages: list[str]) -> Counter[str]:
    """Error code -> clips of the bucket quarantined for it."""
    parts = [
        f"SELECT clip_id, error_code FROM \"{name}\" JOIN clips USING (clip_id) WHERE status = 'quarantined'"
        for name in stages
    ]
    if not parts:
        return Counter()
    sql = f"SELECT error_code, count(DISTINCT clip_id) n FROM ({' UNION ALL '.join(parts)}) GROUP BY ALL"
    return Counter({r["error_code"]: r["n"] for r in rows(con, sql)})


def _source_causes(con: duckdb.DuckDBPyConnection, have: set[str]) -> Counter[str]:
    if "sources" not in have:
        return Counter()
    sql = "SELECT error_code, count(*) n FROM sources WHERE outcome = 'quarantined' GROUP BY ALL"
    return Counter({r["error_code"]: r["n"] for r in rows(con, sql)})


def _one(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])
