"""How many workers a pool gets: what the cluster has room for, and no more than there is work for at measured rates."""

import math

from manifests.catalog import Catalog
from manifests.query import connect

ENOUGH_S = 5.0
"""Less work than this does not pay for one more worker, which loads models first."""


def workers(room: int, rows: int, seconds_a_row: float | None) -> int:
    """room: workers that fit. rows: keys left. seconds_a_row: None where the job was never measured: then, all fit."""
    if seconds_a_row is None:
        return room
    return max(1, min(room, math.ceil(rows * seconds_a_row / ENOUGH_S)))


def seconds_a_row(catalog: Catalog, job: str) -> float | None:
    """What a key of this job took a worker, in the mean over all its events; None where there are none."""
    if catalog.current("events") is None:
        return None
    con = connect(catalog, asked="events")
    sql = "SELECT sum(seconds) / sum(rows) FROM events WHERE job = ? AND rows > 0"
    found: float | None = con.execute(sql, [job]).fetchall()[0][0]
    return found
