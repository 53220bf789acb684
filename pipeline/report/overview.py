"""Headline counts, and what every stage made: the first things a reader asks for."""

from collections.abc import Iterable, Mapping
from typing import Any

from manifests.errors import ConfigError
from pipeline import stages
from pipeline.report.facts import Facts
from pipeline.stages import StageRef


def headline(facts: Facts, status: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tiles: a big number, its words, and the parts that it splits into (name, count). status: of `klear status`."""
    sources, clips = status["sources"], status["clips"]
    tiles: list[dict[str, Any]] = [
        {"value": f"{sources['total']:,}", "label": "sources", "parts": _parts(sources, ("ok", *_SOURCE_LOSSES))},
        {"value": f"{clips['total']:,}", "label": "clips", "parts": _parts(clips, _CLIP_OUTCOMES)},
        {"value": length(_seconds(facts, "true")), "label": "of clips", "parts": []},
        {"value": length(_seconds(facts, "outcome = 'kept'")), "label": "kept", "parts": []},
    ]
    if "shards" in facts.have:
        found = facts.rows("SELECT count(*) n, sum(bytes) AS bytes, sum(count) AS samples FROM shards")[0]
        label = f"samples in {found['n']} shards, {megabytes(found['bytes'])}"
        tiles.append({"value": f"{int(found['samples'] or 0):,}", "label": label, "parts": []})
    return tiles


def summary(status: Mapping[str, Any], yields: Iterable[Mapping[str, Any]]) -> str:
    """One sentence: how many clips stay, and which gate turns most away."""
    clips = status["clips"]
    if not clips["ok"]:
        return ""
    text = f"{clips['kept']:,} of {clips['ok']:,} judged clips stay ({clips['kept'] / clips['ok']:.0%})."
    dearest = max(yields, key=lambda row: row["rejected"], default=None)
    if dearest is None or not dearest["rejected"]:
        return text
    name = dearest["gate"].replace("_", " ")
    return (
        f"{text} The gate that turns most away is {name}: {dearest['rejected']:,}, {dearest['alone']:,} of them alone."
    )


_SOURCE_LOSSES = ("ineligible", "duplicate", "quarantined", "pending")
_CLIP_OUTCOMES = ("kept", "rejected", "quarantined", "pending")


def made_by(facts: Facts, refs: Iterable[StageRef]) -> list[dict[str, Any]]:
    """A row a stage of the preset: version, recipe, licence, rows; or, when it has no table, why it could not run."""
    return [_stage(facts, ref) for ref in refs]


def _stage(facts: Facts, ref: StageRef) -> dict[str, Any]:
    try:
        stage = stages.make(ref)
    except ConfigError as error:
        return {"name": ref.name, "absent": error.message}
    told = {"licence": stage.LICENCE, "params": stages.params(ref, stage)}
    row: dict[str, Any] = {"name": ref.name, "version": stage.VERSION, **told}
    if ref.name not in facts.have:
        return {**row, "absent": stages.absence(stage) or "did not run yet"}
    counts = facts.rows(
        f"SELECT any_value(recipe) AS recipe, count(*) n, count(*) FILTER (status = 'ok') AS ok FROM \"{ref.name}\""
    )[0]
    return {**row, **counts, "quarantined": counts["n"] - counts["ok"], "backends": backends(facts, ref.name)}


def backends(facts: Facts, stage: str) -> list[dict[str, Any]]:
    """Which backend, model and prompt wrote the rows of a stage that says so; each with its number of rows."""
    columns = [name for name in ("backend", "model", "prompt_version") if name in facts.stages.get(stage, [])]
    if not columns:
        return []
    names = ", ".join(columns)
    return facts.rows(f"SELECT {names}, count(*) n FROM \"{stage}\" WHERE status = 'ok' GROUP BY ALL ORDER BY ALL")


def causes(facts: Facts) -> list[dict[str, Any]]:
    """Why sources and clips were quarantined: what, stage, code, how many, one message."""
    queries = []
    if "sources" in facts.have:
        queries.append(
            "SELECT 'source' AS what, source_key AS id, error_stage, error_code, error_message FROM sources"
            " WHERE outcome = 'quarantined'"
        )
    queries += [
        f"SELECT 'clip' AS what, clip_id AS id, error_stage, error_code, error_message FROM \"{name}\""
        " WHERE status = 'quarantined'"
        for name in facts.stages
    ]
    if "samples" in facts.have:
        queries.append(
            "SELECT 'sample' AS what, clip_id AS id, error_stage, error_code, error_message FROM samples"
            " WHERE status = 'quarantined'"
        )
    if not queries:
        return []
    return facts.rows(
        "SELECT what, error_stage AS stage, error_code AS code, count(DISTINCT id) n, min(error_message) AS message"
        f" FROM ({' UNION ALL '.join(queries)}) GROUP BY what, error_stage, error_code ORDER BY n DESC, code"
    )


def length(seconds: float) -> str:
    """A duration for people: 48 s, 12.5 min, 3.1 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def megabytes(count: int | None) -> str:
    """Bytes for people, in powers of ten."""
    count = int(count or 0)
    return f"{count / 1e9:,.1f}\u00a0GB" if count >= 1e9 else f"{count / 1e6:,.1f}\u00a0MB"


def _seconds(facts: Facts, where: str) -> float:
    return float(facts.one(f"SELECT sum(seconds) FROM report WHERE {where}") or 0) if "clips" in facts.have else 0.0


def _parts(counts: Mapping[str, int], names: tuple[str, ...]) -> list[dict[str, Any]]:
    return [{"name": name, "n": counts[name]} for name in names if counts[name]]
