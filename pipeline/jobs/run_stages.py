"""Run a list of stages over clips as one job: shared by `measure` (a tier of filters) and `annotate` (captioners)."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from manifests.errors import ConfigError
from manifests.query import connect, open_duckdb, register, rows
from manifests.schema import stage_schema
from manifests.table import Table
from media.stage import Stage
from pipeline import console, stages
from pipeline.context import Context, check_error_rate, rate
from pipeline.engine.wanted import Asked
from pipeline.hardware import with_decoder
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
        _check_inputs(context, stage, inputs)
        inputs["clips"] = clips.recipe if clips else ""
        made_by = stages.stage_recipe(ref, stage, inputs)
        found.append(Ready(ref, stage, context.catalog.table(stage.NAME, made_by, stage_schema(stage.COLUMNS))))
    return found, absent


def _check_inputs(context: Context, stage: Stage, inputs: dict[str, str]) -> None:
    """Raise ConfigError for a stage whose input nobody made or makes: before any work, not clip by clip."""
    for name in getattr(stage, "REQUIRES", ()):
        if not inputs[name]:
            tier = next((t.name for t in context.settings.tiers if name in {ref.name for ref in t.stages}), None)
            told = f"run `klear measure --tier {tier}` first" if tier else f"put {{name: {name}}} before it"
            raise ConfigError(
                "config:inputs", f"{stage.NAME} reads {name}, which no stage before it makes here: {told}"
            )


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
        console.say(f"{name}: {reason}", "absent", "yellow")
    clips = context.catalog.require("clips", "ingest")
    wanted = Asked(context.catalog, f"SELECT c.clip_id AS key, c.source_id AS place FROM clips c WHERE {chosen}")
    inputs = {name for r in found for name in r.stage.INPUTS} - {r.ref.name for r in found}
    worker = ClipWorker(
        plan=context.plan(job),
        clips=clips,
        refs=tuple(r.ref for r in found),
        tables={r.ref.name: r.table for r in found},
        inputs=context.catalog.currents(sorted(inputs)),
        store=Store(with_decoder(context.settings.sources)),
        at_once=context.needs(job).clips_at_once,
    )
    done = 0
    if found:
        done = context.work(job, [r.table for r in found], worker, wanted, "clips")
    for r in found:
        context.catalog.set_current(r.table)
    if context.redo is not None:  # what was done again is counted by who asked for it
        return {"job": job, "absent": absent, **rate(started, done)}
    counts = _counts(wanted, found)
    limit = context.settings.engine.max_error_rate
    check_error_rate(job, counts["quarantined"], counts["planned"], limit, counts["causes"])
    return {"job": job, **counts, **_summaries(context, found), "absent": absent, **rate(started, done)}


def _summaries(context: Context, found: list[Ready]) -> dict[str, Any]:
    """`summary`: what stages tell of all their rows (tokens, euro): stage -> name -> number."""
    told: dict[str, dict[str, Any]] = {}
    for r in found:
        if asked := getattr(r.stage, "SUMMARY", {}):
            con = open_duckdb(context.catalog)
            register(con, r.table)
            names = ", ".join(f'{sql} AS "{name}"' for name, sql in asked.items())
            told[r.ref.name] = rows(con, f'SELECT {names} FROM "{r.ref.name}"')[0]
    return {"summary": told} if told else {}


def _counts(wanted: Asked, found: list[Ready]) -> dict[str, Any]:
    """Row conservation of this job: planned = ok + quarantined + pending, per clip over all its stages."""
    total: Counter[str] = Counter()
    causes: Counter[str] = Counter()
    for bucket in wanted.buckets():
        for planned, done, cause in _outcomes(wanted, found, bucket):
            total["planned"] += planned
            total["quarantined" if cause else "ok" if done else "pending"] += planned
            causes.update({cause: planned} if cause else {})
    return {name: total[name] for name in ("planned", "ok", "quarantined", "pending")} | {
        "causes": dict(sorted(causes.items()))
    }


def _outcomes(wanted: Asked, found: list[Ready], bucket: int) -> list[tuple[int, bool, str | None]]:
    """(clips, whether all stages are done, cause of quarantine) of one bucket."""
    con = connect(wanted.catalog, bucket, wanted.sql)
    for r in found:
        register(con, r.table, bucket=bucket)
    names = [r.ref.name for r in found]
    joins = "".join(f' LEFT JOIN "{name}" ON "{name}".clip_id = w.key' for name in names)
    done = " AND ".join(f'"{name}".clip_id IS NOT NULL' for name in names) or "false"
    told = ", ".join(f'"{name}".error_stage || \' \' || "{name}".error_code' for name in names) or "NULL"
    sql = f"SELECT count(*), {done} AS done, coalesce({told}) AS cause FROM ({wanted.sql}) w{joins} GROUP BY ALL"
    return con.execute(sql).fetchall()
