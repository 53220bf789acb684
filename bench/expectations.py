"""Expectations at size: every row of tables of clips checked by aggregates, beside a sample of them in a data frame.

Tables are synthetic, in the real layout: clips, two stages and verdicts. Each step runs in a process of its own, on two
cores. Run as `python -m bench.expectations --clips 1000000 10000000 --scratch FOLDER --record`.
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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

CORES = 2
STAGES = ("audio.loudness", "video.stills")
TABLES = ("clips", *STAGES, "verdicts")
STEPS = ("import", "check verdicts", "check all four", "sample verdicts", "sample all four", "drift all four")
RESULTS = Path(__file__).with_name("RESULTS.md")
SAMPLE = 100_000
WANTED = "SELECT c.clip_id AS key, c.source_id AS place FROM clips c"


def main() -> None:
    """Make the tables of each size, run every step on them, print and record."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--clips", type=int, nargs="+", default=[100_000, 1_000_000])
    ask.add_argument("--scratch", type=Path, default=Path("out/expectations"))
    ask.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    ask.add_argument("--keep", action="store_true", help="leave the tables there")
    ask.add_argument("--step", choices=[*STEPS, "make"], help=argparse.SUPPRESS)
    given = ask.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    if given.step:
        _step(given.step, given.scratch, given.clips[0])
        return
    costs = {clips: _size(given.scratch / str(clips), clips, given.keep) for clips in given.clips}
    table = _table(costs)
    print(table)
    if given.record:
        with RESULTS.open("a") as file:
            file.write(table)


def _size(out: Path, clips: int, keep: bool) -> dict[str, dict[str, float]]:
    if not out.is_dir():
        _run("make", out, clips)
    costs = {step: _run(step, out, clips) for step in STEPS}
    if not keep:
        shutil.rmtree(out)
    return costs


def _run(step: str, out: Path, clips: int) -> dict[str, float]:
    argv = [sys.executable, "-m", "bench.expectations", "--step", step, "--scratch", str(out), "--clips", str(clips)]
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True)
    cost: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    print(f"{clips:,} {step}: {cost}", file=sys.stderr, flush=True)
    return cost


def _step(name: str, out: Path, clips: int) -> None:
    steps: dict[str, Callable[[], object]] = {
        "make": lambda: _make(out, clips),
        "import": lambda: __import__("manifests.expectations.suite"),
        "check verdicts": lambda: _check(out, ["verdicts"]),
        "check all four": lambda: _check(out, TABLES),
        "sample verdicts": lambda: _sample(out, ["verdicts"]),
        "sample all four": lambda: _sample(out, TABLES),
        "drift all four": lambda: _drift(out),
    }
    started = time.monotonic()
    print(steps[name](), file=sys.stderr)
    used = resource.getrusage(resource.RUSAGE_SELF)
    cost = {"seconds": time.monotonic() - started, "cpu": used.ru_utime + used.ru_stime, "gib": used.ru_maxrss / 2**20}
    print(json.dumps({key: round(value, 2) for key, value in cost.items()}))


def _check(out, tables):  # type: ignore[no-untyped-def]
    from manifests.catalog import Catalog
    from manifests.expectations import check
    from pipeline import stages

    found = check.tables(Catalog(out), tables, {name: stages.declared(name) for name in tables})
    return [(one.table, one.rows, one.met, [u.line()[:120] for u in one.unmet]) for one in found]


def _sample(out, tables):  # type: ignore[no-untyped-def]
    """As it was done before: great-expectations' own checks on a data frame of some rows, keys by an aggregate."""
    import great_expectations.expectations as gxe

    from manifests.catalog import Catalog
    from manifests.expectations import aggregate, check, contract, suite
    from manifests.query import connect

    catalog, done = Catalog(out), []
    for name in tables:
        table = catalog.current(name)
        assert table is not None
        pieces = aggregate.pieces(catalog, table)
        sql = f'SELECT * FROM "{name}" USING SAMPLE reservoir({SAMPLE} ROWS) REPEATABLE (0)'
        frame = connect(catalog, pieces[0], name).execute(sql).df()
        agreed = contract.of(name, table.schema, contract.Declared(), catalog.names())
        expected = [gxe.ExpectColumnValuesToNotBeNull(column=c.name) for c in table.schema if not c.nullable]
        bounds = {c.name: agreed.bounds(c) for c in table.schema}
        expected += [
            gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
            for column, (low, high) in bounds.items()
            if (low, high) != (None, None)
        ]
        data = suite.context().data_sources.add_pandas(name).add_dataframe_asset(name)
        batch = data.add_batch_definition_whole_dataframe("some").get_batch({"dataframe": frame})
        batch.validate(suite.gx.ExpectationSuite(name=name, expectations=expected))
        keys = [one for one in check.checks.of(name, table.schema, agreed) if one.kind in {"unique", "reference"}]
        done.append((name, len(frame), [one.bad for one in aggregate.count(catalog, table, agreed, keys)]))
    return done


def _drift(out):  # type: ignore[no-untyped-def]
    from manifests.catalog import Catalog
    from manifests.expectations import baseline, compare
    from manifests.expectations.drift import Thresholds

    catalog = Catalog(out)
    held = baseline.of(catalog, TABLES)
    found = compare.tables(catalog, TABLES, held, Thresholds(), "warning")
    return [(one.table, len(one.drifts), max((d.value for d in one.drifts), default=0.0)) for one in found]


def _make(out: Path, clips: int) -> None:
    from bench.ledger_tables import Maker
    from manifests.schema import VERDICTS
    from pipeline.config import load
    from pipeline.context import Context
    from pipeline.engine.wanted import Asked

    names = ", ".join(f"{{name: {name}}}" for name in STAGES)
    context = Context(out, load("cluster", [f"tiers=[{{name: cheap, stages: [{names}]}}]"]))
    context.prepare()
    maker = Maker(context, clips, loose=False, lean=False)
    maker.base()
    plan = context.plan("measure.cheap")
    plan.extend(Asked(context.catalog, WANTED), context.settings.engine.part_clips)
    maker.stages(0, plan)
    verdicts = context.catalog.table("verdicts", "0" * 32, VERDICTS)
    for bucket, ids in _ids(context.catalog.require("clips", "ingest")):
        verdicts.publish_table(f"b{bucket:04x}-all", _verdicts(ids, verdicts.schema))
    context.catalog.set_current(verdicts)


def _ids(clips) -> Iterator[tuple]:  # type: ignore[no-untyped-def,type-arg]
    for bucket in clips.buckets():
        if bucket is not None:
            yield bucket, clips.read_bucket(bucket, ["clip_id"])["clip_id"]


def _verdicts(ids, schema):  # type: ignore[no-untyped-def]
    """Three clips in ten are kept, the rest rejected by a gate."""
    import numpy as np
    import pyarrow as pa

    n = len(ids)
    kept = np.random.default_rng(0).random(n) < 0.3
    ends = np.concatenate([[0], np.cumsum(~kept)]).astype(np.int32)
    none = pa.array(np.zeros(n + 1, np.int32))
    columns = {
        "clip_id": ids,
        "keep": pa.array(kept),
        "bypass": pa.array(np.zeros(n, bool)),
        "rejected_by": pa.ListArray.from_arrays(pa.array(ends), pa.array(["loudness"] * int(ends[-1]))),
        "reasons": pa.ListArray.from_arrays(none, pa.array([], schema.field("reasons").type.value_type)),
        "unmeasured": pa.ListArray.from_arrays(none, pa.array([], pa.string())),
        "audio_class": pa.array(np.where(np.arange(n) % 3, "speech", "music")),
        "tasks": pa.ListArray.from_arrays(none, pa.array([], pa.string())),
    }
    held = [columns.get(field.name, pa.nulls(n, field.type)) for field in schema]
    return pa.table(held, schema=schema)


def _table(costs: dict[int, dict[str, dict[str, float]]]) -> str:
    lines = [
        f"\n## {datetime.now(UTC):%Y-%m-%d}: expectations at size, on {CORES} cores ({platform.machine()})",
        f"Synthetic tables: clips, {', '.join(STAGES)}, verdicts; each step in a process of its own, which imports",
        "great-expectations. Check: every row, and the rows that did it of checks which random numbers fail. Sample:",
        f"{SAMPLE:,} rows at most in a data frame, keys of every row. Drift: a baseline of all, and the comparison.",
        "",
        "| step | rows of a table | seconds | CPU-s | peak GiB |",
        "| --- | --- | --- | --- | --- |",
    ]
    for step in STEPS:
        for clips in sorted(costs):
            cost = costs[clips][step]
            lines.append(f"| {step} | {clips:,} | {cost['seconds']:.1f} | {cost['cpu']:.1f} | {cost['gib']:.2f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
