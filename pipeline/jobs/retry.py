"""Retry: do again what some causes quarantined (a source that was away, a limit that was too tight), and nothing else.

Job by job in the order of a run: probe, cut, the tiers, annotate, shard. The rows of a part that were quarantined are
made anew and the part is superseded; everything else in it stays as it was. Sources that heal are cut at once; clips
that heal are judged at the end, and the rest of the run goes on from there. A shard that lacked a clip is rebuilt in
its place, with the clips that it holds copied: it is then what an undisturbed run would have made of the same clips.
"""

import difflib
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

from manifests.errors import ConfigError, KlearError
from manifests.query import open_duckdb, register
from manifests.table import Table
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import cut, decide, ingest, probe, run_stages, shard


@dataclass(frozen=True)
class Step:
    """A job that may be done again. tables: where its quarantined rows are."""

    job: str
    tables: list[Table]
    run: Callable[[Context], object]


def run(context: Context, causes: Collection[str], jobs: Collection[str] = ()) -> dict[str, Any]:
    """Do again what these causes (error codes) quarantined, in all jobs or in those named; what healed, by job.

    A cause that no row has is none to fail on (a retry may be run twice): `unknown` names it, and `causes` says which
    there were, in these jobs. Raises ConfigError for a job that the preset does not have. Rows that fail again stay
    quarantined, as they are now.
    """
    started = time.monotonic()
    if not causes:
        raise ConfigError("retry:cause", "give --cause CODE, e.g. --cause media:timeout; `klear status` lists them")
    again = replace(context, redo=frozenset(causes))
    _check(context, jobs)
    there = _causes(context, jobs)
    told: list[dict[str, Any]] = []
    for step in _steps(context):
        if (not jobs or step.job in jobs) and (before := _quarantined(context, step.tables, again.redo)):
            _done(step, again)
            left = _quarantined(context, step.tables, again.redo)
            told.append({"job": step.job, "retried": before, "healed": before - left, "still": left})
    healed: set[str] = {row["job"] for row in told if row["healed"]}
    judged = decide.run(context) if healed - {"shard"} and context.catalog.current("verdicts") else None
    return {
        "job": "retry",
        "retried": sum(row["retried"] for row in told),
        "healed": sum(row["healed"] for row in told),
        "jobs": told,
        "unknown": [{"cause": cause, "nearest": _nearest(cause, there)} for cause in causes if cause not in there],
        "causes": [{"cause": cause, "rows": count} for cause, count in there.most_common()],
        **({"kept": judged["kept"], "rejected": judged["rejected"]} if judged else {}),
        "next": _next(healed),
        "seconds": round(time.monotonic() - started, 2),
    }


def written(context: Context, result: dict[str, Any]) -> list[str]:
    """The tables that a retry, with this outcome, has written to."""
    done = {row["job"] for row in result["jobs"]}
    return [*(table.name for step in _steps(context) if step.job in done for table in step.tables), "verdicts"]


def _causes(context: Context, jobs: Collection[str]) -> Counter[str]:
    """Rows by the code that quarantined them, over the tables of all jobs or of those named."""
    con = open_duckdb(context.catalog)
    found: Counter[str] = Counter()
    tables = {t.name: t for step in _steps(context) if not jobs or step.job in jobs for t in step.tables}
    for table in (table for table in tables.values() if "error_code" in table.schema.names):
        register(con, table)
        sql = f"SELECT error_code, count(*) FROM \"{table.name}\" WHERE status = 'quarantined' GROUP BY ALL"
        found.update(dict(con.execute(sql).fetchall()))
    return found


def _nearest(cause: str, there: Collection[str]) -> str | None:
    return next(iter(difflib.get_close_matches(cause, there, 1, 0.5)), None)


def _check(context: Context, jobs: Collection[str]) -> None:
    known = ["probe", "cut", *(f"measure.{tier.name}" for tier in context.settings.tiers), "annotate", "shard"]
    if unknown := sorted(set(jobs) - set(known)):
        raise ConfigError("retry:job", f"no job {unknown[0]!r}; there are {known}")


def _steps(context: Context) -> Iterator[Step]:
    """The jobs of which there are tables, in order; each is looked for when those before it are done."""
    catalog = context.catalog
    if probes := catalog.current(probe.NAME):
        yield Step("probe", [probes], _probe)
    if cuts := catalog.current(cut.NAME):
        yield Step("cut", [cuts], _cut)
    for tier in context.settings.tiers:
        yield _stages(context, f"measure.{tier.name}", tier.stages)
    yield _stages(context, "annotate", context.settings.annotate)
    if samples := catalog.current("samples"):
        yield Step("shard", [samples], shard.run)


def _probe(again: Context) -> None:
    """Probe again; the contents that are found are cut."""
    probe.run(again)
    plain = replace(again, redo=None)
    ingest.taken(plain)
    cut.run(plain, ingest.canonical(plain))
    ingest.resolve(plain)


def _cut(again: Context) -> None:
    cut.run(again, again.catalog.require("canonical", "ingest"))
    ingest.resolve(replace(again, redo=None))


def _stages(context: Context, job: str, refs: list[Any]) -> Step:
    found, _ = run_stages.ready(context, refs)
    return Step(job, [r.table for r in found], lambda again: run_stages.run(again, job, refs, "true"))


def _done(step: Step, again: Context) -> None:
    """Run the step. That there are still too many quarantined rows is no news: what healed is."""
    try:
        step.run(again)
    except KlearError as error:
        if error.code != "job:error_rate":
            raise


def _quarantined(context: Context, tables: list[Table], causes: frozenset[str] | None) -> int:
    """Keys that one of the causes quarantined in one of the tables."""
    if not tables:
        return 0
    con = open_duckdb(context.catalog)
    for table in tables:
        register(con, table)
    asked = context.quarantined(tables, causes or frozenset()).sql
    return int(con.execute(f"SELECT count(DISTINCT key) FROM ({asked})").fetchall()[0][0])


def _next(healed: set[str]) -> list[str]:
    """The commands that carry what healed to the end of the run."""
    order = ["filter", "annotate", "decide", "shard"]
    if healed & {"probe", "cut"} or any(job.startswith("measure.") for job in healed):
        return order
    return order[2:] if "annotate" in healed else []


def show(result: dict[str, Any]) -> None:
    """What healed, by job, and what to run next."""
    keys = ["job", "retried", "healed", "still"]
    if result["jobs"]:
        console.rows("Done again", keys, [[row[key] for key in keys] for row in result["jobs"]])
    for row in result["unknown"]:
        near = f"; did you mean {row['nearest']!r}?" if row["nearest"] else ""
        console.say(f"no row is quarantined with {row['cause']!r}{near}", "nothing to do", "yellow")
    if result["unknown"]:
        there = ", ".join(f"{row['cause']} ({row['rows']:,} rows)" for row in result["causes"])
        console.say(f"the causes of these jobs: {there or 'none, nothing is quarantined'}")
    if result["next"]:
        console.err.print("run next: " + ", ".join(f"klear {name}" for name in result["next"]))
