"""Replay of what is done to sources: `probe` and `cut`, on one of them, beside what is stored."""

import sys
import traceback
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from manifests import parts
from manifests.errors import ConfigError, cause_of
from manifests.ids import bucket
from manifests.query import connect
from manifests.schema import LISTING, PROBES, STATUS
from pipeline.context import Context
from pipeline.engine.plan import Part
from pipeline.hardware import with_decoder
from pipeline.jobs import cut, probe
from pipeline.jobs.cut import CutWorker
from pipeline.jobs.find_row import find_source
from pipeline.jobs.probe import ProbeWorker
from pipeline.jobs.replay import compared, failed, in_hand
from pipeline.sources.outcome import INELIGIBLE
from pipeline.sources.store import Store

JOBS = ("probe", "cut")
_SAID = {*LISTING.names, *(field.name for field in STATUS), "recipe"} - {"bytes", "version"}
_FOUND = set(PROBES.names) - _SAID
"""Columns that the probe finds out itself."""


def run(context: Context, source: str, job: str, guarded: bool = False) -> dict[str, Any]:
    """Probe or cut one source, named by the beginning of an id, by its name or its uri; what comes out and is stored.

    guarded: in a process of its own, as jobs do it. Raises ConfigError when there is no such source, or more than one.
    """
    row = find_source(context.catalog, source)
    told = (_probe if job == "probe" else _cut)(context, row, guarded)
    return {"job": "replay", "source_key": row["source_key"].hex(), "stage": job, **told, "saved": []}


def _probe(context: Context, source: Mapping[str, Any], guarded: bool) -> dict[str, Any]:
    key = source["source_key"]
    listed, table = context.catalog.require("listing", "ingest"), context.catalog.require(probe.NAME, "ingest")
    order = tuple(context.settings.cut.audio_order)
    worker = ProbeWorker(context.plan("probe"), listed, table, Store(context.settings.sources), order)
    part = _part(context, key)
    stored = table.read_keys(part.name, [key])[key]
    if guarded:
        row = in_hand(context, worker, part, key)[probe.NAME][0]
        now = _outcome(row, row)
    else:
        try:
            values = worker.values(listed.read_keys(part.name, [key])[key], worker.store)
            now = {"status": "ok", "columns": values}
        except Exception as error:
            now = _raised("probe", error)
    names = [name for name in now["columns"] if name in _FOUND]
    then = {}
    if now["status"] == "ok":
        schema = pa.schema([PROBES.field(name) for name in names])
        now["columns"] = pa.Table.from_pylist([now["columns"]], schema=schema).to_pylist()[0]
        then = {name: stored[name] for name in names}
    return {"status": now["status"], "error": now.get("error"), **compared(now, then, stored)}


def _cut(context: Context, source: Mapping[str, Any], guarded: bool) -> dict[str, Any]:
    if source["source_id"] is None:
        raise ConfigError("replay:not_cut", f"{source['name']} was never cut ({source['outcome']}): replay its probe")
    key = source["source_id"]
    tables = [context.catalog.require(name, "ingest") for name in ("canonical", "clips", cut.NAME)]
    store = Store(with_decoder(context.settings.sources))
    worker = CutWorker(context.plan("cut"), tables[0], context.settings.cut, tables[1], tables[2], store)
    part = _part(context, key)
    stored = tables[2].read_keys(part.name, [key]).get(key)
    if guarded:
        rows = in_hand(context, worker, part, key)
        now = _outcome(rows[cut.NAME][0], _clips(rows[cut.NAME][0], rows["clips"]))
    else:
        try:
            shots, decoded, clips = worker.clips_of(tables[0].read_keys(part.name, [key])[key], part.bucket, store)
            counts = {"shots": shots, "frames_decoded": decoded, "clips": len(clips)}
            now = {"status": "ok", "columns": _clips(counts, clips)}
        except Exception as error:
            now = _raised("cut", error)
    then = _clips(stored, _stored_clips(context, part.bucket, key)) if stored else {}
    then = then if stored and stored["status"] == "ok" else {}
    return {"status": now["status"], "error": now.get("error"), **compared(now, then, stored)}


def _part(context: Context, key: bytes) -> Part:
    number = bucket(key, context.settings.engine.bucket_bits)
    return Part(parts.name(number, key, key, b""), number, 1)


def _outcome(row: Mapping[str, Any], columns: dict[str, Any]) -> dict[str, Any]:
    if row["status"] == "ok":
        return {"status": "ok", "columns": columns}
    return failed(row["error_stage"], row["error_code"], row["error_message"]) | {"status": row["status"]}


def _raised(job: str, error: Exception) -> dict[str, Any]:
    traceback.print_exc(file=sys.stderr)
    code, message = cause_of(error)
    return failed(job, code, message) | {"status": "ineligible" if code in INELIGIBLE else "quarantined"}


def _clips(counts: Mapping[str, Any], clips: list[dict[str, Any]]) -> dict[str, Any]:
    """What a cut amounts to: its counts, and the frames of each clip by its id."""
    told = {name: counts[name] for name in ("shots", "frames_decoded", "clips")}
    frames = {row["clip_id"].hex(): f"{row['start_frame']} + {row['frames']}" for row in clips}
    return told | dict(sorted(frames.items(), key=lambda item: int(item[1].split()[0])))


def _stored_clips(context: Context, number: int, source_id: bytes) -> list[dict[str, Any]]:
    con = connect(context.catalog, number, "clips")
    sql = "SELECT clip_id, start_frame, frames FROM all_clips WHERE source_id = ?"
    found = con.execute(sql, [source_id]).fetchall()
    return [dict(zip(("clip_id", "start_frame", "frames"), row, strict=True)) for row in found]
