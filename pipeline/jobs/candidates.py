"""Candidates: pairs of clips that share a word in some band, out of all clips, one band at a time, in bounded memory.

Within a band, words are sorted and each is compared with the next few that have the same key: a crowded key (a logo, a
test card) costs as much a word as a lonely one, never the square of its size. Copies lie beside each other there,
because the sort goes on with the bits that are not in the key.
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from filters.duplicates.sketch import KEY_BITS, PICTURE_TURNS

MOST_BITS = 16
"""Differing bits of two picture words above which their clips are no candidates; 20 of the 40 outside the key is
chance."""


@dataclass(frozen=True)
class Band:
    """column: of the fingerprints, a list of words. key: SQL of a `word`'s key. near: SQL of two words being alike."""

    column: str
    key: str
    near: str


BANDS = (
    *(
        Band(f"picture_{i}", f"word >> {64 - KEY_BITS}", f"bit_count(xor(word, other)) <= {MOST_BITS}")
        for i in range(len(PICTURE_TURNS))
    ),
    Band("sound_0", "word", "true"),
)


def find(con: duckdb.DuckDBPyConnection, fingerprints: str, neighbours: int) -> list[dict[str, Any]]:
    """Make the temporary table `candidates` (a, b: `hash(clip_id)`, a < b, each pair once); a row of counts a band.

    fingerprints: a relation of `con` with `clip_id` and the bands' columns. neighbours: how many of the words after it
    a word is compared with. Counts: words filed, the most under one key, the share of words under keys with more than
    the neighbours reach, candidates.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE met (a UBIGINT, b UBIGINT)")
    counts = []
    for band in BANDS:
        entries = f"SELECT hash(clip_id) AS clip, unnest({band.column}) AS word FROM {fingerprints}"
        (added,) = con.execute(f"INSERT INTO met {_meeting(entries, band, neighbours)}").fetchall()[0]
        counts.append({"band": band.column, **_crowding(con, entries, band, neighbours), "candidates": added})
    con.execute("CREATE OR REPLACE TEMP TABLE candidates AS SELECT DISTINCT a, b FROM met")
    con.execute("DROP TABLE met")
    return counts


def _meeting(entries: str, band: Band, neighbours: int) -> str:
    steps = range(1, neighbours + 1)
    clips, words = (", ".join(f"lead({what}, {i}) OVER near" for i in steps) for what in ("clip", "word"))
    return f"""
SELECT DISTINCT least(clip, met) AS a, greatest(clip, met) AS b FROM (
    SELECT clip, word, unnest(clips) AS met, unnest(words) AS other FROM (
        SELECT clip, word, [{clips}] AS clips, [{words}] AS words FROM ({entries})
        WINDOW near AS (PARTITION BY {band.key} ORDER BY word, clip)))
WHERE met IS NOT NULL AND met <> clip AND {band.near}"""


def _crowding(con: duckdb.DuckDBPyConnection, entries: str, band: Band, neighbours: int) -> dict[str, Any]:
    sql = (
        f"SELECT coalesce(sum(n), 0), coalesce(max(n), 0), coalesce(sum(n) FILTER (n > {neighbours + 1}), 0) "
        f"FROM (SELECT count(*) AS n FROM ({entries}) GROUP BY {band.key})"
    )
    words, largest, crowded = con.execute(sql).fetchall()[0]
    return {"words": int(words), "largest": int(largest), "crowded": round(crowded / max(1, words), 4)}
