"""The dataset card of a generation of shards: a Hugging Face README.md with facts from the tables alone.

Form: https://huggingface.co/docs/hub/datasets-cards (YAML header, then Markdown).
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from manifests import rights
from manifests.files import AnyPath, replace
from manifests.query import rows

TEMPLATES = Path(__file__).parent / "templates"
LISTED = 50
"""Most sources that are listed one by one; beyond that they are grouped by licence and attribution."""

Row = Mapping[str, Any]

_SIZES = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
_SIZES += [(10**8, "10M<n<100M"), (10**9, "100M<n<1B")]
_TASKS = {
    "T2AV": ("text-to-video", "text-to-audio"),
    "TI2AV": ("image-to-video", "text-to-audio"),
    "TI2V": ("image-to-video",),
    "T2V": ("text-to-video",),
    "T2A": ("text-to-audio",),
}
"""Our tasks in the hub's words."""
_LICENCES = [
    (r"\bcc0\b", "cc0-1.0"),
    (r"\bcc[ -]?by[ -]?nc[ -]?sa[ -]?4", "cc-by-nc-sa-4.0"),
    (r"\bcc[ -]?by[ -]?nc[ -]?4", "cc-by-nc-4.0"),
    (r"\bcc[ -]?by[ -]?sa[ -]?4", "cc-by-sa-4.0"),
    (r"\bcc[ -]?by[ -]?sa[ -]?3", "cc-by-sa-3.0"),
    (r"\bcc[ -]?by[ -]?4", "cc-by-4.0"),
    (r"\bcc[ -]?by[ -]?3", "cc-by-3.0"),
    (r"\bapache[ -]?2", "apache-2.0"),
    (r"\bmit\b", "mit"),
]
"""Licences as people write them, and the hub's identifiers. Public domain has none there: it is `other`."""


def write(out: AnyPath, con: duckdb.DuckDBPyConnection, stages: Sequence[Row], policy: Row) -> AnyPath:
    """Write OUT/shards/<generation>/README.md of the current shards; its path.

    con: with views of the current tables. stages: rows {name, licence, version, params, recipe, ok, quarantined,
    backends} or {name, absent}. policy: {name, text, gates: rows {gate, conditions, joined, classes, measured,
    rejected, source}}.
    """
    found = gather(con)
    path = out / "shards" / found["generation"] / "README.md"
    text = render({**found, "stages": stages, "policy": policy, "limits": known_limits(con, stages)})
    replace(path, lambda file: file.write(text.encode()))
    return path


def render(facts: Row) -> str:
    """The card as text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
    )
    environment.filters |= {"cell": cell, "length": length}
    return environment.get_template("README.md.j2").render(header=header(facts), **facts)


def gather(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """What the tables say of the samples that are in shards: counts, durations, sizes, sources, captions."""
    con.execute(
        "CREATE OR REPLACE TEMP VIEW released AS SELECT s.*, c.width, c.height, c.fps_num / c.fps_den AS fps,"
        " c.frames * c.fps_den / c.fps_num AS seconds FROM samples s JOIN clips c USING (clip_id)"
        " WHERE s.status = 'ok' AND s.shard IS NOT NULL"
    )
    shards = rows(con, "SELECT shard, count, bytes, sha256, generation FROM shards ORDER BY shard")
    return {
        "generation": shards[0]["generation"],
        "shards": shards,
        "bytes": sum(row["bytes"] for row in shards),
        "total": rows(con, "SELECT count(*) AS clips, coalesce(sum(seconds), 0) AS seconds FROM released")[0],
        "splits": rows(con, _SPLITS),
        "classes": _capabilities(con),
        "tasks": [r["task"] for r in rows(con, "SELECT DISTINCT unnest(tasks) AS task FROM released ORDER BY ALL")],
        "durations": rows(con, _DURATIONS)[0],
        "pictures": rows(con, _PICTURES),
        "licences": rows(con, _LICENCE_COUNTS),
        "sources": _sources(con),
        "contested": rights.contested(con),
        "extra": rights.extra_columns(con) if "extra" in _columns(con, "sources") else [],
        "languages": _languages(con),
        **_members(con),
    }


_SPLITS = """SELECT split, count(*) AS clips, count(DISTINCT source_id) AS sources, sum(seconds) AS seconds
FROM released GROUP BY split ORDER BY split = 'test', split = 'val', split"""
_DURATIONS = """SELECT min(seconds) AS shortest, quantile_cont(seconds, 0.5) AS median, max(seconds) AS longest
FROM released"""
_PICTURES = """SELECT width, height, fps, count(*) n FROM released GROUP BY ALL
ORDER BY n DESC, width, height, fps LIMIT 12"""
_LICENCE_COUNTS = """SELECT coalesce(o.licence, 'not stated') AS licence, count(*) AS clips,
count(DISTINCT r.source_id) AS sources, sum(r.seconds) AS seconds
FROM released r JOIN sources o ON o.source_id = r.source_id AND o.outcome = 'ok'
GROUP BY ALL ORDER BY clips DESC, licence"""


def header(facts: Row) -> dict[str, Any]:
    """The values of the YAML header: licence identifier, tasks and size in the hub's words."""
    licence = licence_id([row["licence"] for row in facts["licences"]])
    tasks = [name for task in facts["tasks"] for name in _TASKS.get(task, ())]
    return {
        "license": licence,
        "mixed": licence == "other",
        "size": size_category(facts["total"]["clips"]),
        "tasks": sorted(set(tasks)),
    }


def licence_id(licences: Sequence[str]) -> str:
    """The hub's identifier when all sources share one that it knows, else `other`; also when a text names several."""
    named = {name for text in licences for name in _named(text)}
    return named.pop() if len(named) == 1 else "other"


def _named(text: str) -> list[str]:
    return [name for form, name in _LICENCES if re.search(form, text.lower())] or ["other"]


def size_category(count: int) -> str:
    """The hub's size class for a number of samples."""
    return next((name for limit, name in _SIZES if count < limit), "n>1T" if count >= 10**12 else "1B<n<10B")


def known_limits(con: duckdb.DuckDBPyConnection, stages: Sequence[Row]) -> list[str]:
    """What a user must know, as far as the tables show that it applies to these samples."""
    used = {b["backend"] for row in stages for b in row.get("backends", []) if b.get("backend")}
    found = [text for backend, text in _BACKEND_LIMITS.items() if backend in used]
    found += [f"`{row['name']}` did not run: {row['absent'].partition(': ')[0]}." for row in stages if "absent" in row]
    unsure = rows(con, _UNDECIDED)
    if unsure:
        listed = ", ".join(f"`{row['gate']}` on {row['n']}" for row in unsure)
        found.append(f"A gate whose measure is missing or unsure does not reject. Undecided here: {listed} samples.")
    if "consistency" in _columns(con, "compose.texts") and (flags := rows(con, _FLAGS)):
        listed = ", ".join(f"`{row['flag']}` {row['n']}" for row in flags)
        found.append(f"Facts that do not fit together are flagged, not removed. Samples with each flag: {listed}.")
    if any(row["licence"] == "not stated" for row in rows(con, _LICENCE_COUNTS)):
        found.append("Some sources came without a stated licence: clear their rights before you pass them on.")
    return found


_BACKEND_LIMITS = {
    "template": "Captions of backend `template` are put together from measures. They say only what was measured"
    " (sound classes and tags, loudness, motion, light, colours): no objects, no actions, no places.",
    "hpss_residual": "Stems of backend `hpss_residual` are what harmonic-percussive separation leaves over, not the"
    " output of a separator trained for voices. They are transient and not part of the samples.",
    "deepfilternet": "Stems of backend `deepfilternet` come from a noise suppressor for speech, not from a music"
    " separator: singing and music are outside what it was trained on.",
    "demucs": "Stems of backend `demucs` come from a model that was trained on songs: speech over noise is outside what"
    " it was trained on.",
    "wav2vec2_age_gender": "Gender and age of speakers are a model's estimates of voices, not facts of persons: its"
    " authors report mean errors of 7 to 11 years.",
}
_UNDECIDED = """SELECT gate, count(*) n FROM (SELECT unnest(v.unmeasured) AS gate FROM verdicts v
JOIN released USING (clip_id)) GROUP BY gate ORDER BY n DESC, gate"""
_FLAGS = """SELECT flag, count(*) n FROM (SELECT unnest(consistency) AS flag FROM "compose.texts"
JOIN released USING (clip_id)) GROUP BY flag ORDER BY n DESC, flag"""


_SERVED = """SELECT audio_class, task, count(*) n FROM (SELECT audio_class, unnest(tasks) AS task FROM released)
GROUP BY ALL"""


def _capabilities(con: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """A row an audio class: clips, seconds, and clips that serve each task."""
    summed = "SELECT audio_class, count(*) AS clips, sum(seconds) AS seconds FROM released"
    counted = rows(con, f"{summed} GROUP BY ALL ORDER BY audio_class")
    cells = rows(con, _SERVED)
    by_key = {(row["audio_class"], row["task"]): row["n"] for row in cells}
    return [{**row, "tasks": {task: by_key.get((row["audio_class"], task), 0) for task in _TASKS}} for row in counted]


def _sources(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The sources of the samples, one by one or, when there are many, by licence and attribution."""
    joined = "FROM released r JOIN sources o ON o.source_id = r.source_id AND o.outcome = 'ok'"
    count = rows(con, f"SELECT count(DISTINCT r.source_id) n {joined}")[0]["n"]
    numbers = "count(*) AS clips, sum(r.seconds) AS seconds"
    if count > LISTED:
        grouped = f"SELECT o.licence, o.attribution, count(DISTINCT r.source_id) AS sources, {numbers} {joined}"
        listed = rows(con, f"{grouped} GROUP BY ALL ORDER BY clips DESC, o.licence, o.attribution LIMIT {LISTED}")
        return {"count": count, "grouped": True, "rows": listed}
    single = f"SELECT o.name, o.licence, o.attribution, o.url, {numbers} {joined} GROUP BY ALL ORDER BY o.name"
    return {"count": count, "grouped": False, "rows": rows(con, single)}


def _members(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Fields of a sample's JSON and of its texts, as a released sample has them."""
    found = rows(con, "SELECT fields, texts FROM shards WHERE len(fields) > 0 ORDER BY shard LIMIT 1")
    return found[0] if found else {"fields": [], "texts": []}


def _languages(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Languages of the transcripts that kept words; English too, the language of the captions."""
    told = (("compose.texts", "speech_text"), ("transcribe.whisperx", "text"))
    known = next(((view, text) for view, text in told if "language" in _columns(con, view)), None)
    if known is None:
        return ["en"]
    spoken = rows(
        con,
        f'SELECT DISTINCT t.language FROM "{known[0]}" t JOIN released USING (clip_id)'
        f" WHERE t.{known[1]} <> '' AND t.language IS NOT NULL",
    )
    return sorted({"en", *(row["language"] for row in spoken)})


def _columns(con: duckdb.DuckDBPyConnection, view: str) -> set[str]:
    """Columns of a view, empty when there is none."""
    return {
        r[0] for r in con.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [view]).fetchall()
    }


def cell(value: Any) -> str:
    """A value inside a Markdown table: no bars, no line breaks, no markup."""
    text = "" if value is None else str(value)
    return re.sub(r"\s+", " ", re.sub(r"([|<>*_`\\])", r"\\\1", text)).strip()


def length(seconds: float) -> str:
    """A duration for people."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"
