"""Sightings: which of the sources that were ever found under one uri was found there last.

A file that is replaced is another source, with a key of its own. It may also be put back as it was, its time included:
then it is a source that is listed already, and only a sighting says that it is the one that is there now.
"""

import pyarrow as pa

from manifests.catalog import Catalog
from manifests.schema import ID
from manifests.table import Table

NAME = "sightings"
SIGHTINGS = pa.schema(
    [
        pa.field("source_key", ID, False),
        pa.field("number", pa.int32(), False),  # one more than any other of its uri had then; without a row it is 0
    ]
)


def table_of(catalog: Catalog) -> Table:
    """The table of sightings of an output folder."""
    return catalog.table(NAME, NAME, SIGHTINGS)
