"""What is found under a uri that held something else before: noted, as the listing alone does not tell which is last.

Where every uri has always held one source, which is the rule, nothing is written.
"""

from pathlib import Path

from manifests.catalog import Catalog
from manifests.ids import digest
from manifests.query import connect, register
from manifests.sightings import NAME, table_of

PART = 100_000
"""Most rows of a part."""

NEW = """
WITH keys AS (SELECT DISTINCT source_key, uri FROM listing SEMI JOIN found USING (uri)),
held AS (
    SELECT k.uri, k.source_key, coalesce(max(s.number), 0) AS number FROM keys k
    SEMI JOIN (SELECT uri FROM keys GROUP BY uri HAVING count(*) > 1) USING (uri)
    LEFT JOIN sightings s ON s.source_key = k.source_key GROUP BY ALL),
top AS (SELECT uri, max(number) AS number FROM held GROUP BY uri),
last AS (SELECT uri, any_value(source_key) AS source_key FROM held JOIN top USING (uri, number)
    GROUP BY uri HAVING count(*) = 1)
SELECT found.source_key, (top.number + 1)::INTEGER AS number
FROM (SELECT uri, arg_max(source_key, place) AS source_key FROM found GROUP BY uri) found
JOIN top ON top.uri = found.uri LEFT JOIN last ON last.uri = found.uri
WHERE last.source_key IS DISTINCT FROM found.source_key ORDER BY 1
"""
"""The sources found now that were not the last under their uri, with the number that they have from now on."""


def note(catalog: Catalog, found: Path) -> None:
    """Note what was found just now, and is listed. found: a Parquet file of `source_key`, `uri` and `place`."""
    con = connect(catalog, asked=f"listing {NAME}")
    table = table_of(catalog)
    if catalog.current(NAME) is None:
        register(con, table)
    path = str(found).replace("'", "''")
    con.execute(f"CREATE OR REPLACE TEMP VIEW found AS SELECT * FROM read_parquet('{path}')")
    rows = con.sql(NEW).to_arrow_table()
    for start in range(0, len(rows), PART):
        piece = rows.slice(start, PART)
        said = [str(tuple(row.values())) for row in piece.to_pylist()]
        catalog.set_current(table).publish_table(digest(*said).hex(), piece)
