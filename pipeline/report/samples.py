"""Which clips the page of samples shows, and what it says of each."""

from typing import Any

from filters.capability import CLASSES
from pipeline.report.facts import Facts
from pipeline.report.limits import Limit, words

KEPT_SHOWN, REJECTED_SHOWN = 24, 12
SHOWN_CLASSES = (*CLASSES, "unknown")
"""Audio classes in their order on the page; `unknown` where a preset does not measure them."""
_TEXTS = {"video": "video_text", "audio": "audio_text", "speech": "speech_text", "dense": "dense_text"}
_QUIET = ("audio.classes", "transcribe.", "caption.", "compose.texts")
"""Beginnings of stages whose numbers are shown elsewhere on the card (classes, words, texts)."""


def kept(facts: Facts) -> list[dict[str, Any]]:
    """Samples that are in a shard, classes in turn, first by id (a hash: as good as drawn by chance)."""
    if "samples" not in facts.have:
        return []
    chosen = (
        'SELECT clip_id, shard, generation, "offset", size, split, row_number() OVER (PARTITION BY audio_class'
        " ORDER BY clip_id) AS turn FROM samples WHERE status = 'ok' AND shard IS NOT NULL"
    )
    found = facts.rows(
        f'SELECT r.*, s.shard, s.generation, s."offset", s.size, s.split'
        f" FROM report r JOIN ({chosen}) s USING (clip_id) ORDER BY s.turn, r.class, r.clip_id LIMIT {KEPT_SHOWN}"
    )
    named = [{**row, "class": row["class"] or SHOWN_CLASSES[-1]} for row in found]
    return sorted(named, key=lambda row: (SHOWN_CLASSES.index(row["class"]), row["clip_id"]))


def rejected(facts: Facts) -> list[dict[str, Any]]:
    """Rejected clips, the first gates that rejected them in turn."""
    if "verdicts" not in facts.have:
        return []
    return facts.rows(
        "SELECT * EXCLUDE (turn) FROM (SELECT *, rejected_by[1] AS gate, row_number() OVER (PARTITION BY rejected_by[1]"
        f" ORDER BY clip_id) AS turn FROM report WHERE outcome = 'rejected') WHERE turn <= {REJECTED_SHOWN}"
        f" ORDER BY turn, gate, clip_id LIMIT {REJECTED_SHOWN}"
    )


def sources_of(facts: Facts, clips: list[dict[str, Any]]) -> dict[bytes, dict[str, Any]]:
    """Licence and attribution of the clips' sources, by source_id."""
    if not clips:
        return {}
    ids = ", ".join(f"from_hex('{key.hex()}')" for key in sorted({clip["source_id"] for clip in clips}))
    columns = "source_id, licence, attribution, url"
    found = facts.rows(f"SELECT {columns} FROM sources WHERE outcome = 'ok' AND source_id IN ({ids})")
    return {row["source_id"]: row for row in found}


def card(clip: dict[str, Any], source: dict[str, Any], limits: dict[str, list[Limit]]) -> dict[str, Any]:
    """What the page says of a clip: class, tasks, place in its source, texts, words, measures, reasons."""
    column = {name.rpartition(".")[2]: value for name, value in clip.items() if name.startswith("compose.texts.")}
    return {
        "id": clip["clip_id"].hex(),
        "name": clip["name"],
        "licence": source.get("licence"),
        "attribution": source.get("attribution"),
        "start_s": clip["start_us"] / 1e6,
        "end_s": clip["end_us"] / 1e6,
        "size": f"{clip['width']}×{clip['height']}",
        "fps": clip["fps_num"] / clip["fps_den"],
        "class": clip["class"],
        "tasks": clip["tasks"] or [],
        "split": clip.get("split"),
        "shard": clip.get("shard"),
        "texts": {name: column.get(key) for name, key in _TEXTS.items() if column.get(key)},
        "words": column.get("words") or [],
        "consistency": column.get("consistency") or [],
        "tags": (clip.get("audio.classes.tags") or [])[:5],
        "gates": _gates(clip, limits),
        "measures": _measures(clip),
        "reasons": [_reason(reason) for reason in clip["reasons"] or []],
    }


def _gates(clip: dict[str, Any], limits: dict[str, list[Limit]]) -> list[dict[str, Any]]:
    """The measures that had a say on this clip, with their bounds and whether they were met."""
    rows = []
    for limit in (limit for found in limits.values() for limit in found):
        applies = clip["class"] in limit.classes or limit.classes == CLASSES  # a gate for all is for the unclassed too
        if not applies or (value := clip.get(limit.measure)) is None:
            continue
        low, high = limit.minimum, limit.maximum
        passed = (low is None or value >= low) and (high is None or value <= high)
        rows.append({"gate": limit.gate, "measure": limit.measure, "value": value, "bound": words(limit), "ok": passed})
    return rows


def _measures(clip: dict[str, Any]) -> list[tuple[str, Any]]:
    """All numbers and short texts measured, by name."""
    found = []
    for name, value in clip.items():
        stage, dot, _ = name.rpartition(".")
        if dot and not stage.startswith(_QUIET) and isinstance(value, int | float | str) and value != "":
            found.append((name, value))
    return found


def _reason(reason: dict[str, Any]) -> dict[str, Any]:
    limit = Limit(reason["gate"], reason["measure"], reason["min"], reason["max"], (), True)
    return {"gate": reason["gate"], "measure": reason["measure"], "value": reason["value"], "bound": words(limit)}
