"""What a run costs: seconds from the events, tokens from the rows, euro from the prices."""

from types import SimpleNamespace

import pyarrow as pa
import pytest

from manifests.ids import digest
from manifests.schema import stage_schema
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import costs, run_stages
from tests.pipeline.test_policy_jobs import world

__all__ = ["world"]


def priced(context: Context, **prices: float) -> Context:
    return Context(context.out, context.settings.model_copy(update={"prices": type(context.settings.prices)(**prices)}))


def asking(context: Context) -> run_stages.Ready:
    """A captioner that read 1,000 and 3,000 tokens, and wrote 100 and 300."""
    columns = {"prompt_tokens": pa.int64(), "tokens": pa.int64()}
    table = context.catalog.table("caption.test", digest("cost").hex(), stage_schema(columns))
    key = {"source_id": b"s" * 16, "bucket": 0, "status": "ok", "attempts": 1, "recipe": ""}
    blank = dict.fromkeys(table.schema.names)
    table.publish(
        "b0000-a",
        [{**blank, **key, "clip_id": digest(n), "prompt_tokens": 1_000 * n, "tokens": 100 * n} for n in (1, 3)],
    )
    price = SimpleNamespace(prompt=2.0, completion=10.0)
    stage = SimpleNamespace(COLUMNS=columns, COST=0.0, settings=SimpleNamespace(price=price))
    return run_stages.Ready(SimpleNamespace(name="caption.test"), stage, table)  # type: ignore[arg-type]


def test_tokens_cost_what_the_stage_says(world) -> None:
    context, _ = world
    (row,) = costs.of(context, [asking(context)])
    assert row["tokens"] == [2_000.0, 200.0]
    assert row["euro_per_million"] == 2_000 * 2.0 + 200 * 10.0, (
        "a million clips of so many tokens, euro a million tokens"
    )


def test_machines_cost_only_where_a_price_is_set(world) -> None:
    context, _ = world
    found, _ = run_stages.ready(context, context.settings.stages)
    plain = costs.of(context, found)
    assert {row["euro_per_million"] for row in plain} == {None} and all(row["declared"] for row in plain)
    told = {row["stage"]: row for row in costs.of(priced(context, cpu_hour=0.36), found)}
    motion = told["video.motion"]
    seconds = motion["per_clip_s"] * motion["clip_s"]
    assert motion["euro_per_million"] == pytest.approx(seconds * 100, abs=0.01), "0.36 euro an hour are 100 a million s"
    costs.show(plain)


def test_what_nobody_measured_is_not_known(world, capsys) -> None:
    context, _ = world
    unmeasured = asking(priced(context, cpu_hour=0.36))
    unmeasured.stage.COST = None
    (row,) = costs.of(priced(context, cpu_hour=0.36), [unmeasured])
    assert row["per_clip_s"] is None and row["euro_per_million"] == 6_000.0, "its tokens are"
    costs.show([row])
    assert "unknown" in capsys.readouterr().err


def test_before_anything_ran_nothing_is_measured(tmp_path) -> None:
    context = Context(tmp_path, load("local", ["prices.cpu_hour=0.04"]))
    context.prepare()
    assert costs.seconds_a_clip(context) == {} and costs.clip_seconds(context) == 0.0
    found, _ = run_stages.ready(context, context.settings.stages)
    told = costs.of(context, found)
    assert all(row["declared"] and row["per_clip_s"] is not None for row in told)
    assert {row["euro_per_million"] for row in told} == {None}, "how long clips are is not known, so no price is"
