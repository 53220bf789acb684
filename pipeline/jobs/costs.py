"""What curating costs: seconds of workers, tokens and euro, by stage, at the rates that were measured here.

A stage that has not run yet counts with the cost that it declares, which says so; tokens of captions are known from the
rows there are. Machines cost what `prices` says; without prices only tokens that have a price are counted.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from manifests.query import connect, open_duckdb, register, rows
from pipeline import console
from pipeline.context import Context
from pipeline.jobs.run_stages import Ready

MILLION = 1_000_000
HEADER = ["stage", "seconds per clip-second", "tokens a clip, read + written", "euro per million clips"]


def seconds_a_clip(context: Context) -> dict[tuple[str, str], float]:
    """(job, stage) -> seconds of a worker a clip: the median of parts, as the first of a worker holds imports and the
    loading of models. `render` is decoding, `cpu` the CPU of all. Empty before anything ran."""
    if context.catalog.current("events") is None:
        return {}
    told = rows(
        connect(context.catalog, asked="events"),
        "SELECT job, s.stage AS stage, median(s.seconds / rows) AS each FROM (SELECT job, rows, unnest(stages) s"
        " FROM events WHERE rows > 0) GROUP BY ALL",
    )
    return {(row["job"], row["stage"]): row["each"] for row in told}


def clip_seconds(context: Context) -> float:
    """Mean length of the clips there are, seconds; 0 before there are any."""
    if context.catalog.current("clips") is None:
        return 0.0
    con = connect(context.catalog, asked="clips")
    ((mean,),) = con.execute("SELECT avg(frames * fps_den / fps_num) FROM clips").fetchall()
    return float(mean or 0)


def of(context: Context, found: Sequence[Ready]) -> list[dict[str, Any]]:
    """A row a stage and a row for the decoding of each job that ran: job, stage, clip_s, `per_clip_s` (seconds of a
    worker per second of clip; None where nobody knows), declared (not measured here), tokens (mean read, written; None
    for no model's), euro per million clips (None without a price). found: stages that can run; absent ones cost
    nothing."""
    measured, mean = seconds_a_clip(context), clip_seconds(context)
    jobs = {ref.name: f"measure.{tier.name}" for tier in context.settings.tiers for ref in tier.stages}
    told = [_row(context, jobs.get(r.ref.name, "annotate"), r, measured, mean) for r in found]
    decoding = [_decoding(context, job, each, mean) for (job, stage), each in measured.items() if stage == "render"]
    return [*decoding, *told]


def _row(context: Context, job: str, r: Ready, measured: dict[tuple[str, str], float], mean: float) -> dict[str, Any]:
    known = measured.get((job, r.ref.name))
    declared = None if r.stage.COST is None or not mean else r.stage.COST * mean
    tokens = _tokens(context, r)
    price = getattr(getattr(r.stage, "settings", None), "price", None)
    paid = price.prompt * tokens[0] + price.completion * tokens[1] if price and tokens else None  # of a million clips
    parts = [euro for euro in (_machine(context, job, declared if known is None else known), paid) if euro is not None]
    told = {"job": job, "stage": r.ref.name, "clip_s": mean, "declared": known is None, "tokens": tokens}
    per_clip_s = known / mean if known is not None and mean else r.stage.COST
    return told | {"per_clip_s": per_clip_s, "euro_per_million": round(sum(parts), 2) if parts else None}


def _decoding(context: Context, job: str, each: float, mean: float) -> dict[str, Any]:
    told = {"job": job, "stage": "decoding", "clip_s": mean, "per_clip_s": each / mean if mean else None}
    machine = _machine(context, job, each)
    return told | {
        "declared": False,
        "tokens": None,
        "euro_per_million": None if machine is None else round(machine, 2),
    }


def _machine(context: Context, job: str, seconds: float | None) -> float | None:
    """Euro of a worker's time for a million clips of so many seconds each; None without a price or the seconds."""
    prices, needs = context.settings.prices, context.needs(job)
    if seconds is None or prices.cpu_hour is None or (needs.gpus and prices.gpu_hour is None):
        return None
    return MILLION * seconds / 3600 * (needs.cpus * prices.cpu_hour + needs.gpus * (prices.gpu_hour or 0.0))


def _tokens(context: Context, r: Ready) -> list[float] | None:
    """Mean tokens a clip, read and written, of a stage whose rows count them."""
    if "prompt_tokens" not in r.stage.COLUMNS:
        return None
    con = open_duckdb(context.catalog)
    register(con, r.table)
    told = con.execute(f"SELECT avg(prompt_tokens), avg(tokens) FROM \"{r.table.name}\" WHERE status = 'ok'").fetchall()
    return None if told[0][0] is None else [round(float(value), 1) for value in told[0]]


def show(told: Sequence[dict[str, Any]]) -> None:
    """A table for people."""
    body = [[f"{row['job']} {row['stage']}", _seconds(row), _read_and_written(row), _euro(row)] for row in told]
    sums = [row["euro_per_million"] for row in told if row["euro_per_million"] is not None]
    rest = ", without what is unknown" if any(row["per_clip_s"] is None for row in told) else ""
    body.append([f"all, were every clip to pass{rest}", "", "", f"{sum(sums):,.0f}" if sums else "-"])
    console.rows("Cost, at the rates measured here", HEADER, body)
    if not sums:
        console.say("for euro set prices, e.g. --set prices.cpu_hour=0.04 --set prices.gpu_hour=2.5")


def _seconds(row: Mapping[str, Any]) -> str:
    declared = " (declared)" if row["declared"] else ""
    return "unknown" if row["per_clip_s"] is None else f"{row['per_clip_s']:.3g}{declared}"


def _read_and_written(row: Mapping[str, Any]) -> str:
    return "-" if row["tokens"] is None else " + ".join(f"{value:,.0f}" for value in row["tokens"])


def _euro(row: Mapping[str, Any]) -> str:
    return "-" if row["euro_per_million"] is None else f"{row['euro_per_million']:,.0f}"
