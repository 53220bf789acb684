"""Every source and what became of it."""

from typing import Any

from pipeline.report.facts import Facts

LISTED = 200
"""Most sources that are listed one by one; beyond that, only their outcomes are counted."""


def outcomes(facts: Facts) -> list[dict[str, Any]]:
    """Counts by outcome and cause, over all sources."""
    if "sources" not in facts.have:
        return []
    return facts.rows(
        "SELECT outcome, error_code AS code, count(*) n, sum(clips) AS clips FROM sources GROUP BY ALL"
        " ORDER BY n DESC, outcome, code"
    )


def listed(facts: Facts) -> list[dict[str, Any]]:
    """The sources one by one with their clips, kept clips and cause; at most LISTED, those that were used first."""
    if "sources" not in facts.have:
        return []
    kept = "SELECT NULL AS source_id, 0 AS kept WHERE false"
    if "clips" in facts.have:
        kept = "SELECT source_id, count(*) FILTER (outcome = 'kept') AS kept FROM report GROUP BY source_id"
    return facts.rows(
        f"SELECT s.name, s.outcome, s.error_code AS code, s.error_message AS message, s.licence, s.attribution, s.url,"
        " s.container, s.video_codec, s.audio_codec, s.width, s.height, s.fps_num / s.fps_den AS fps, s.duration_s,"
        " s.bytes, s.clips, s.duplicate_of, CASE WHEN s.outcome = 'ok' THEN coalesce(k.kept, 0) END AS kept"
        f" FROM sources s LEFT JOIN ({kept}) k ON k.source_id = s.source_id"
        f" ORDER BY s.outcome <> 'ok', s.outcome, s.name LIMIT {LISTED}"
    )
