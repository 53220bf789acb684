"""Takedowns: what must not be used any more, and what that hides. Tombstones are only ever added.

takedowns   a row a request: a clip's range, a source by content or uri, or a licence
taken       what they amount to now, by source: whole sources, and ranges of some (a query, made anew by every ingest)

A clip is taken down as the range of its source, so that other cuts of the same seconds are gone as well.
"""

import pyarrow as pa

from manifests import files
from manifests.catalog import Catalog
from manifests.schema import CLIPS, ID
from manifests.table import Table

TAKEDOWNS = pa.schema(
    [
        pa.field("takedown_id", ID, False),  # of (kind, value)
        pa.field("kind", pa.string(), False),  # clip | source | licence
        pa.field("value", pa.string(), False),  # as it was asked for: an id in hex, a uri, a licence's text
        pa.field("reason", pa.string(), False),
        pa.field("source_id", ID),
        pa.field("start_us", pa.int64()),
        pa.field("end_us", pa.int64()),
    ]
)
TAKEN = pa.schema(
    [
        pa.field("source_id", ID, False),
        pa.field("start_us", pa.int64()),  # NULL: the whole source
        pa.field("end_us", pa.int64()),
    ]
)

TAKEN_CONTENTS = """
SELECT p.source_key, p.source_id, t.reason FROM probes p JOIN takedowns t USING (source_id) WHERE t.kind = 'source'
UNION ALL
SELECT p.source_key, p.source_id, t.reason FROM probes p JOIN takedowns t ON t.value = p.uri WHERE t.kind = 'source'
UNION ALL
SELECT p.source_key, p.source_id, t.reason FROM probes p JOIN listing n USING (source_key)
JOIN takedowns t ON t.value = n.licence WHERE t.kind = 'licence'
"""
"""Probes that a takedown names, and why. A source is taken down under whatever licence it was ever listed."""

TAKEN_NOW = """
SELECT DISTINCT source_id, NULL::BIGINT AS start_us, NULL::BIGINT AS end_us FROM taken_contents
WHERE source_id IS NOT NULL
UNION ALL SELECT DISTINCT source_id, start_us, end_us FROM takedowns WHERE kind = 'clip'
"""
"""The rows of `taken`: whole contents, and ranges."""


TAKEN_CLIPS = """
SELECT c.clip_id FROM all_clips c JOIN taken t ON t.source_id = c.source_id
AND (t.start_us IS NULL OR (c.start_us < t.end_us AND t.start_us < c.end_us))
"""
"""Clips of `all_clips` that are taken down."""


def tombstones(catalog: Catalog) -> Table:
    """The table of tombstones of an output folder."""
    return catalog.table("takedowns", "takedowns", TAKEDOWNS)


def clip_tables(catalog: Catalog) -> list[Table]:
    """The clips under every recipe that there ever was: shards of old generations hold those of old ones."""
    return [catalog.table("clips", name, CLIPS) for name in files.folders(catalog.root / "clips")]
