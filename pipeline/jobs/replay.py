"""Replay: one stage on one clip (or probe, cut on one source) in the foreground, with the inputs that it had.

For debugging: errors come with their traceback, what comes out stands beside the stored row, and the views that the
stage saw can be written to files. Nothing is committed.
"""

import contextlib
import sys
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from manifests import parts
from manifests.errors import KlearError, cause_of
from manifests.schema import stage_schema
from media.stage import Stage
from media.views import Views
from pipeline import console, stages
from pipeline.context import Context
from pipeline.engine.hand import Died, Hand
from pipeline.engine.job import Limits, PartWorker, Rows
from pipeline.engine.plan import Part
from pipeline.hardware import with_decoder
from pipeline.jobs import run_stages, save_views
from pipeline.jobs.clip_group import FILES
from pipeline.jobs.clip_work import ClipWorker, columns_of
from pipeline.jobs.find_row import find_clip
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store
from pipeline.stages import StageRef

_ERROR = ("status", "error_stage", "error_code")
"""Of a stored row, what is compared when there are no columns: messages may name times and pids."""


@dataclass(frozen=True)
class Subject:
    """A clip's row and, by stage, the rows that it has of the stage's inputs and of the stage itself."""

    clip: Mapping[str, Any]
    inputs: Mapping[str, Mapping[str, Any]]
    stored: Mapping[str, Any] | None
    stored_recipe: str | None

    @property
    def part(self) -> Part:
        """A part of this clip alone, whose name says where its rows lie."""
        source = self.clip["source_id"]
        return Part(parts.name(self.clip["bucket"], source, source, b""), self.clip["bucket"], 1)


def run(context: Context, clip: str, stage: str, save: Path | None = None, guarded: bool = False) -> dict[str, Any]:
    """Run a stage on the clip whose id begins with `clip` (hex); its columns now and as stored.

    save: a folder for the views that the stage sees. guarded: in a process of its own, as jobs do it. `equal` is None
    when nothing is stored. Raises ConfigError when there is no such clip or stage, or more than one clip.
    """
    ref = next((ref for ref in context.settings.stages if ref.name == stage), StageRef(name=stage))
    made = stages.make(ref)
    made.digest()  # a missing backend is said in its own words
    found = _subject(context, find_clip(context.catalog, clip), made)
    store = Store(with_decoder(context.settings.sources))
    files: list[str] = []
    if guarded:
        now = _guarded(context, ref, found, store)
    else:
        now = _here(made, found, store, save, files)
    return {
        "job": "replay",
        "clip_id": found.clip["clip_id"].hex(),
        "stage": stage,
        "status": now["status"],
        "error": now.get("error"),
        **compared(now, columns_of(found.stored) if found.stored else None, found.stored),
        "recipe_is_the_stored_one": _recipe(context, ref) == found.stored_recipe if found.stored else None,
        "saved": files,
    }


def _subject(context: Context, clip: Mapping[str, Any], stage: Stage) -> Subject:
    catalog = context.catalog
    source = clip["source_id"]
    near = parts.name(clip["bucket"], source, source, b"")
    tables = catalog.currents([*stage.INPUTS, stage.NAME])
    rows = {name: table.read_keys(near, [clip["clip_id"]]).get(clip["clip_id"]) for name, table in tables.items()}
    stored = rows.pop(stage.NAME, None) if stage.NAME not in stage.INPUTS else None
    inputs = {name: row for name, row in rows.items() if row is not None}
    return Subject(clip, inputs, stored, stored["recipe"] if stored else None)


def _recipe(context: Context, ref: StageRef) -> str | None:
    """The recipe that the stage has under the settings of this call; None when they do not name it."""
    found, _ = run_stages.ready(context, context.settings.stages)
    return next((r.table.recipe for r in found if r.ref == ref), None)


def _here(stage: Stage, found: Subject, store: Store, save: Path | None, files: list[str]) -> dict[str, Any]:
    from media.render import render_views

    where = stage.NAME
    if bad := next((row for row in found.inputs.values() if row["status"] == "quarantined"), None):
        return failed(bad["error_stage"], bad["error_code"], f"an input is quarantined: {bad['error_message']}")
    try:
        where = "render"
        clip = clip_of(found.clip, store)
        with contextlib.ExitStack() as stack:
            views = stack.enter_context(render_views(clip, list(stage.VIEWS))) if stage.VIEWS else Views({})
            files += save_views.write(views, clip, save) if save else []
            where = stage.NAME
            values = stage(clip, views, {name: columns_of(row) for name, row in found.inputs.items()})
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return failed(where, *cause_of(error))
    told = {name: value for name, value in values.items() if name != FILES}
    stored_as = pa.Table.from_pylist([told], schema=pa.schema(list(stage.COLUMNS.items()))).to_pylist()[0]
    return {"status": "ok", "columns": stored_as}


def _guarded(context: Context, ref: StageRef, found: Subject, store: Store) -> dict[str, Any]:
    stage = stages.make(ref)
    table = context.catalog.table(ref.name, "replay", stage_schema(stage.COLUMNS))
    clips = context.catalog.require("clips", "ingest")
    inputs = context.catalog.currents(stage.INPUTS)
    worker = ClipWorker(context.plan("replay"), clips, (ref,), {ref.name: table}, inputs, store)
    row = in_hand(context, worker, found.part, found.clip["clip_id"])[ref.name][0]
    if row["status"] == "quarantined":
        return failed(row["error_stage"], row["error_code"], row["error_message"])
    whole = pa.Table.from_pylist([row], schema=table.schema).to_pylist()[0]
    return {"status": "ok", "columns": columns_of(whole)}


def in_hand(context: Context, worker: PartWorker, part: Part, key: bytes) -> Rows:
    """The rows of one key from a process of its own; of a key that ends it, those that blame it."""
    engine = context.settings.engine
    hand = Hand(worker, Limits(key_timeout_s=engine.clip_timeout_s, max_rss_gib=engine.max_rss_gib))
    try:
        return next(iter(hand.each(part, [key])))
    except Died as death:
        return worker.blame(part, key, KlearError(death.ending, f"its process ended with {death.ending}"), 1)
    finally:
        hand.stop()


def failed(stage: str, code: str, message: str) -> dict[str, Any]:
    """The outcome of a row that is quarantined."""
    error = {"stage": stage, "code": code, "message": message}
    return {"status": "quarantined", "error": error, "columns": {"error_stage": stage, "error_code": code}}


def compared(
    now: Mapping[str, Any], then: Mapping[str, Any] | None, stored: Mapping[str, Any] | None
) -> dict[str, Any]:
    """`columns`: a row a column with its value now, the stored one, and whether they are equal; `equal`: all of it.

    then: the stored columns. stored: the row that holds its status and error, which are compared where one of the two
    is no success.
    """
    here, there = dict(now["columns"]), dict(then or {})
    if stored and {now["status"], stored["status"]} != {"ok"}:
        here = {"status": now["status"], **here}
        there |= {name: stored[name] for name in _ERROR}
    rows = []
    for name in dict.fromkeys([*here, *there]):
        one, two = here.get(name), there.get(name)
        rows.append({"column": name, "now": one, "stored": two, "equal": repr(one) == repr(two) if stored else None})
    return {"columns": rows, "equal": all(row["equal"] for row in rows) if stored else None}


def show(result: Mapping[str, Any]) -> None:
    """The columns, now and stored, and what differs."""
    body = [[row["column"], _short(row["now"]), _short(row["stored"]), row["equal"]] for row in result["columns"]]
    console.rows(f"{result['stage']}: {result['status']}", ["column", "now", "stored", "equal"], body)


def _short(value: Any) -> str:
    text = "-" if value is None else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
