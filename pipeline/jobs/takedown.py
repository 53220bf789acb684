"""Takedown: a clip, a source or a licence out of everything that was made of it, for good.

tombstone -> taken, canonical, sources (queries) -> shards of every generation -> files of stages, answers of models,
latents, report -> cached copies -> cards

The tombstone comes first and is never removed; all that follows is a function of the tombstones, and doing it again
changes nothing. So a takedown that was killed is finished by any other, or by one that names nothing new.
Rows that stages wrote of the clip stay in their files, and no query shows them. The source itself is its owner's.
"""

import difflib
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from manifests import files, journal
from manifests.errors import ConfigError
from manifests.exclusive import exclusive
from manifests.expectations import docs
from manifests.ids import digest
from manifests.query import open_duckdb, register, rows
from manifests.takedowns import clip_tables, tombstones
from pipeline.context import Context
from pipeline.jobs import card, erase, erase_latents, ingest, validate
from pipeline.jobs.erase import Gone
from pipeline.report import looked_at
from pipeline.sources.store import Store, is_in_place
from pipeline.sources.uris import file_uri

TABLES = ("takedowns", "taken", "canonical", "sources", "release", "samples", "shards", "latents")
"""What a takedown writes."""
_ID = re.compile(r"^[0-9a-f]{32}$")


def run(context: Context, kind: str | None = None, value: str = "", reason: str = "") -> dict[str, Any]:
    """Take down a `clip` (id), a `source` (id, uri or path) or a `licence` (its text); without a kind, finish what was
    begun. Raises ConfigError when nothing of that name is known, or while another takedown is running here.
    """
    with exclusive(context.out / "tables" / ".takedown.lock", "takedown"):  # it rewrites tars where they lie
        return _run(context, kind, value, reason)


def _run(context: Context, kind: str | None, value: str, reason: str) -> dict[str, Any]:
    started = time.monotonic()
    catalog = context.catalog
    if kind:
        row = {"kind": kind, "reason": reason, **_meant(context, kind, value)}
        row["takedown_id"] = digest(kind, row["value"])
        table = catalog.set_current(tombstones(catalog))
        table.publish(row["takedown_id"].hex(), [row])
    if ingest.taken(context) is None:
        raise ConfigError("takedown:nothing", "nothing was ever taken down here: give --clip, --source or --licence")
    ingest.canonical(context)
    ingest.resolve(context)
    gone = Gone(catalog)
    shards = erase.shards(catalog, gone)
    return {
        "job": "takedown",
        "takedowns": len(tombstones(catalog).published()),
        "clips": len(gone.all()),
        "shards": shards,
        "kept_files": erase.kept_files(catalog, gone),
        "answers": sum(journal.forget(context.out / journal.FOLDER, b, gone.of(b)) for b in gone.buckets()),
        "latents": erase_latents.erase(catalog, gone),
        "report_files": _report_files(context, gone),
        "data_docs": docs.remove(context.out.joinpath(*validate.DOCS)),
        "cached": _cached(context),
        "cards": card.again(context),
        "trained": files.folders(context.out / "checkpoints"),
        "seconds": round(time.monotonic() - started, 2),
    }


def _meant(context: Context, kind: str, value: str) -> dict[str, Any]:
    """The columns of a tombstone that say what is meant."""
    if kind == "clip":
        return _clip(context, value)
    return _source(context, value) if kind == "source" else _licence(context, value)


def _clip(context: Context, value: str) -> dict[str, Any]:
    if not _ID.match(value):
        raise ConfigError(
            "takedown:clip", f"--clip takes the 32 hex digits of a clip_id, the key of its sample; got {value!r}"
        )
    for table in clip_tables(context.catalog):
        con = open_duckdb(context.catalog)
        register(con, table)
        found = rows(con, f"SELECT source_id, start_us, end_us FROM clips WHERE clip_id = from_hex('{value}')")
        if found:
            return {"value": value, **found[0]}
    raise ConfigError("takedown:clip", f"no clip {value} in {context.out}")


def _source(context: Context, value: str) -> dict[str, Any]:
    if _ID.match(value):
        if not _listed(context, "probes", "source_id", f"from_hex('{value}')"):
            raise ConfigError("takedown:source", f"no source with the id {value} in {context.out}")
        return {"value": value, "source_id": bytes.fromhex(value)}
    for uri in (value, file_uri(str(Path(value).absolute()))):
        if _listed(context, "listing", "uri", _text(uri)):
            return {"value": uri}
    raise ConfigError("takedown:source", f"{context.out} lists no source {value!r}: give its source_id or its uri")


def _licence(context: Context, value: str) -> dict[str, Any]:
    if not _listed(context, "listing", "licence", _text(value)):
        con = _open(context, "listing")
        known = [name for (name,) in con.execute("SELECT DISTINCT licence FROM listing").fetchall() if name]
        near = difflib.get_close_matches(value, known, 3, 0.4)
        raise ConfigError("takedown:licence", f"no source is listed under {value!r}; near: {near or sorted(known)[:5]}")
    return {"value": value}


def _open(context: Context, name: str) -> Any:
    con = open_duckdb(context.catalog)
    register(con, context.catalog.require(name, "ingest"))
    return con


def _listed(context: Context, name: str, column: str, sql: str) -> bool:
    return bool(_open(context, name).execute(f"SELECT 1 FROM {name} WHERE {column} = {sql} LIMIT 1").fetchall())


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _report_files(context: Context, gone: Gone) -> int:
    """Remove the clips that pages play; pages about policies that showed one go too: they are made again in seconds."""
    report, hexes = context.out / "report", {key.hex() for key in gone.all()}
    count = 0
    for folder, pages in (("clips", ()), (looked_at.FOLDER, looked_at.PAGES)):
        names = files.names(report / folder)
        found = [name for name in names if name.partition(".")[0].removeprefix("rejected-") in hexes]
        for path in [*(report / folder / name for name in found), *(report / page for page in pages if found)]:
            files.remove(path)
        count += len(found)
    return count


def _cached(context: Context) -> int:
    """Remove this node's copies of the sources that are taken down; how many there were."""
    store = Store(context.settings.sources)
    sql = "SELECT uri FROM sources WHERE error_code = 'source:taken_down'"
    uris: Sequence[str] = [uri for (uri,) in _open(context, "sources").execute(sql).fetchall()]
    return sum(store.forget(uri) for uri in uris if not is_in_place({"uri": uri}))
