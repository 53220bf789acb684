"""What the run cost, from the events table: the only numbers of the report that differ between equal runs."""

from typing import Any

from pipeline.report.facts import Facts


def by_job(facts: Facts) -> list[dict[str, Any]]:
    """A row a job: parts, rows, wall and CPU seconds, CPU seconds a row, share.

    Wall seconds are summed over workers: two busy workers spend two in a second.
    """
    if "events" not in facts.have:
        return []
    found = facts.rows(
        "SELECT job, count(DISTINCT part) AS parts, count(*) FILTER (attempt > 1) AS repeated,"
        " sum(rows) AS rows, sum(seconds) AS seconds, sum(cpu_seconds) AS cpu, min(started_s) AS first"
        " FROM events GROUP BY job ORDER BY first, job"
    )
    total = sum(row["cpu"] or 0 for row in found) or 1.0
    return [
        {**row, "each": (row["cpu"] or 0) / row["rows"] if row["rows"] else None, "share": (row["cpu"] or 0) / total}
        for row in found
    ]
