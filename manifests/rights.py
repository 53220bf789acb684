"""What the tables say of the rights to the released samples, beyond the licence that each source was listed with."""

from typing import Any

import duckdb

from manifests.query import rows

_CONTESTED = """
SELECT coalesce(o.licence, 'not stated') AS here, coalesce(d.licence, 'not stated') AS there,
    count(DISTINCT o.source_id) AS sources, count(*) AS uris
FROM sources o JOIN sources d ON d.source_id = o.source_id AND d.outcome = 'duplicate'
WHERE o.outcome = 'ok' AND o.source_id IN (SELECT source_id FROM released) AND d.licence IS DISTINCT FROM o.licence
GROUP BY ALL ORDER BY ALL
"""
_EXTRA = """
SELECT DISTINCT unnest(json_keys(extra)) AS name FROM sources
WHERE outcome = 'ok' AND extra IS NOT NULL AND source_id IN (SELECT source_id FROM released) ORDER BY name LIMIT 50
"""


def contested(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Released content that other uris hold under another licence: rows {here, there, sources, uris}."""
    return rows(con, _CONTESTED)


def extra_columns(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Columns of the users' own lists and sidecars that travel in the samples, under `source.extra`."""
    return [row["name"] for row in rows(con, _EXTRA)]
