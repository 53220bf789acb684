"""Run a list of stages over clips as one job: shared by `measure` (a tier of filters) and `annotate` (captioners)."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from manifests.query import connect, rows
from manifests.schema import stage_schema
from manifests.table import Table
from media.stage import Stage
from pipeline import console, stages
from pipeline.context import Context, check_error_rate, rate
from pipeline.jobs.clip_work import ClipWorker
from pipeline.sources.store import Store
from pipeline.stages import StageRef


@dataclass(frozen=True)
class Ready:
    """A stage of the preset that can run here, and the table its rows go to."""

    ref: StageRef
    stage: Stage
    table: Table


def ready(context: Context, refs: Iterable[StageRef]) -> tuple[list[Ready], dict[str, str]]:
    """The stages that can run, with their tables; and why the absent ones cannot (stage name -> reason).

    Raises BackendAbsent for an absent stage that the preset requires: before Ray starts, never in the middle.
    """
    found: list[Ready] = []
    absent: dict[str, str] = {}
    clips = context.catalog.current("clips")
    for ref in refs:
        stage = stages.make(ref)
        reason = stages.absence(stage)
        if reason is not None:
            if ref.required:
                stage.digest()  # raises, in the stage's own words
            absent[ref.name] = reason
            continue
        inputs = {name: _input_recipe(context, found, name) for name in stage.INPUTS}
        inputs["clips"] = clips.recipe if clips else ""
        made_by = stages.stage_recipe(ref, stage, inputs)
        found.append(Ready(ref, stage, context.catalog.table(stage.NAME, made_by, stage_schema(stage.COLUMNS))))
    return found, absent


def _input_recipe(context: Context, found: list[Ready], name: str) -> str:
    """The recipe of an input: of this job when it makes it, else the current one; "" when there is none."""
    here = next((r.table for r in found if r.ref.name == name), None) or context.catalog.current(name)
    return here.recipe if here else ""


def run(context: Context, job: str, refs: Iterable[StageRef], chosen: str) -> dict[str, Any]:
    """Run the stages on the clips that the SQL condition `chosen` selects; the counts.

    Raises KlearError when more than max_error_rate of the rows are quarantined.
    """
    started = time.monotonic()
    found, absent = ready(context, refs)
    for name, reason in absent.items():
        console.err.print(f"[yellow]absent[/yellow] {name}: {reason}", soft_wrap=True)
    clips = context.catalog.require("clips", "ingest")
    wanted = {r["clip_id"]: r["bucket"] for r in rows(connect(context.catalog), _wanted(chosen))}
    inputs = {name for r in found for name in r.stage.INPUTS} - {r.ref.name for r in found}
    worker = ClipWorker(
        clips=clips,
        refs=tuple(r.ref for r in found),
        tables={r.ref.name: r.table for r in found},
        inputs=context.catalog.currents(sorted(inputs)),
        store=Store(context.settings.sources),
    )
    done = 0
    if found and wanted:
        done = context.work(job, [r.table for r in found], worker, wanted, "clips")
    for r in found:
        context.catalog.set_current(r.table)
    counts = _counts(found, set(wanted))
    limit = context.settings.engine.max_error_rate
    check_error_rate(job, counts["quarantined"], counts["planned"], limit, counts["causes"])
    return {"job": job, **counts, "absent": absent, **rate(started, done)}


def _wanted(chosen: str) -> str:
    return f"SELECT c.clip_id, c.bucket FROM clips c WHERE {chosen} ORDER BY ALL"


def _counts(found: list[Ready], wanted: set[bytes]) -> dict[str, Any]:
    """Row conservation of this job: planned = ok + quarantined + pending, per clip over all its stages."""
    bad: dict[bytes, str] = {}
    done = set(wanted) if found else set()
    for r in found:
        table = r.table.read(["clip_id", "status", "error_stage", "error_code"]).to_pylist()
        done &= {row["clip_id"] for row in table}
        bad |= {row["clip_id"]: f"{row['error_stage']} {row['error_code']}" for row in table if row["error_code"]}
    quarantined = wanted & bad.keys()
    causes: dict[str, int] = {}
    for key in quarantined:
        causes[bad[key]] = causes.get(bad[key], 0) + 1
    return {
        "planned": len(wanted),
        "ok": len(done - quarantined),
        "quarantined": len(quarantined),
        "pending": len(wanted - done - quarantined),
        "causes": dict(sorted(causes.items())),
    }
