"""The ledger at size: planning, pending set, status, policy decision and shard plan over synthetic tables.

Each step runs in a process of its own, on two cores; printed are its seconds, CPU-seconds and peak memory, by the
number of clips. Run as `python -m bench.ledger --clips 1000000 10000000 --scratch FOLDER --record`.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from filters.bypass import bypass_sql

CORES = 2
STEPS = ("plan", "pending", "status", "decide", "validate", "explain", "calibrate", "diff", "shards")
RESULTS = Path(__file__).with_name("RESULTS.md")
WANTED = "SELECT c.clip_id AS key, c.source_id AS place FROM clips c"
BYPASS = 0.01
DEAR = f"{WANTED} WHERE ('0x' || left(hex(c.clip_id), 2))::INTEGER < 102 OR {bypass_sql(BYPASS)}"
"""Two clips in five reach the second tier, and the bypass sample."""


def main() -> None:
    """Make the tables of each size, run every step on them, print and record how each grows."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--clips", type=int, nargs="+", default=[100_000, 1_000_000])
    ask.add_argument("--scratch", type=Path, default=Path("out/ledger"))
    ask.add_argument("--loose", action="store_true", help="a file a part, as before `klear compact`")
    ask.add_argument("--lean", action="store_true", help="numbers that no step reads are 0: takes less disk")
    ask.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    ask.add_argument("--keep", action="store_true", help="leave the tables there")
    ask.add_argument("--step", choices=[*STEPS, "base", "cheap", "dear"], help=argparse.SUPPRESS)
    given = ask.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    if given.step:
        _step(given.step, given.scratch, given.clips[0], given.loose, given.lean)
        return
    more = [f"--{name}" for name in ("loose", "lean") if getattr(given, name)]
    costs = {clips: _size(given.scratch / str(clips), clips, more, given.keep) for clips in given.clips}
    table = _table(costs, given.loose, given.lean)
    print(table)
    if given.record:
        with RESULTS.open("a") as file:
            file.write(table)


def _size(out: Path, clips: int, more: list[str], keep: bool) -> dict[str, dict[str, float]]:
    """Make the tables of this many clips and run the steps; cost by step."""
    shutil.rmtree(out, ignore_errors=True)
    found = {}
    for step in ("base", "plan", "cheap", "dear", *STEPS[1:]):
        found[step] = _run(step, out, clips, more)
        print(f"{clips:,} {step}: {found[step]}", file=sys.stderr, flush=True)
    if not keep:
        shutil.rmtree(out)
    return found


def _run(step: str, out: Path, clips: int, more: list[str]) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.ledger", "--step", step, "--scratch", out, "--clips", clips, *more]
    done = subprocess.run([str(word) for word in argv], check=True, stdout=subprocess.PIPE, text=True)
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return cost


def _step(name: str, out: Path, clips: int, loose: bool, lean: bool) -> None:
    from bench.ledger_tables import Maker
    from pipeline.config import load
    from pipeline.context import Context
    from pipeline.jobs import validate
    from pipeline.jobs.policy import calibrate, diff, explain

    context = Context(out, load("cluster", []))
    context.prepare()
    maker = Maker(context, clips, loose, lean)
    dear = context.plan("measure.dear")
    steps: dict[str, Callable[[], object]] = {
        "base": maker.base,
        "cheap": lambda: maker.stages(0, context.plan("measure.cheap")),
        "dear": lambda: (len(_extend(context, "measure.dear", DEAR)), maker.stages(1, dear)),
        "plan": lambda: len(_extend(context, "measure.cheap", WANTED)),
        "pending": lambda: _pending(context),
        "status": lambda: _status(context),
        "decide": lambda: _decide(context),
        "validate": lambda: validate.check(context.catalog, ["verdicts"]),
        "explain": lambda: len(explain.run(context)["gates"]),
        "calibrate": lambda: calibrate.run(context, 0.27)["achieved"][-1],
        "diff": lambda: diff.run(context, "klear", "mova")["classes"][-1],
        "shards": lambda: _shards(context),
    }
    started = time.monotonic()
    told = steps[name]()
    print(told, file=sys.stderr)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {
        "seconds": time.monotonic() - started,
        "cpu": used.ru_utime + used.ru_stime,
        "gib": used.ru_maxrss / 2**20,
    }
    print(json.dumps({key: round(value, 2) for key, value in cost.items()}))


def _extend(context, job, sql):  # type: ignore[no-untyped-def]
    from pipeline.engine.wanted import Asked

    return context.plan(job).extend(Asked(context.catalog, sql), context.settings.engine.part_clips)


def _pending(context):  # type: ignore[no-untyped-def]
    from pipeline.engine.job import Job
    from pipeline.jobs import run_stages

    found, _ = run_stages.ready(context, context.settings.tiers[0].stages)
    job = Job("measure.cheap", tuple(r.table for r in found), None, context.out)
    return len(job.pending(_extend(context, "measure.cheap", WANTED)))


def _status(context):  # type: ignore[no-untyped-def]
    from pipeline.jobs import status

    return status.of(context.catalog)


def _decide(context):  # type: ignore[no-untyped-def]
    from pipeline.jobs import decide

    return {key: value for key, value in decide.run(context).items() if key != "yields"}


def _shards(context):  # type: ignore[no-untyped-def]
    from manifests.schema import RELEASE
    from pipeline.jobs import generation, run_stages, shard

    found, _ = run_stages.ready(context, context.settings.stages)
    release = generation.find_or_start(
        context.out / "shards", shard._content(context, found), context.settings.shard.shards
    )
    return len(shard._plan(context, release, context.catalog.table("release", release.recipe, RELEASE)))


def _table(costs: dict[int, dict[str, dict[str, float]]], loose: bool, lean: bool) -> str:
    """A markdown table: a row a step and size."""
    sizes = sorted(costs)
    how = "a file a part, as published" if loose else "compacted"
    how += ", numbers that no step reads are 0" if lean else ""
    lines = [
        f"\n## {datetime.now(UTC):%Y-%m-%d}: the ledger at size, on {CORES} cores ({platform.machine()})",
        f"Synthetic tables, {how}; each step in a process of its own.",
        "",
        "| step | clips | seconds | CPU-s | peak GiB | CPU-s, times the size before |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for step in STEPS:
        for before, clips in zip([None, *sizes], sizes):
            cost = costs[clips][step]
            grown = "" if before is None else f"{cost['cpu'] / max(costs[before][step]['cpu'], 0.01):.1f}"
            row = [step, f"{clips:,}", f"{cost['seconds']:.1f}", f"{cost['cpu']:.1f}", f"{cost['gib']:.2f}", grown]
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
