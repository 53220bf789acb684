"""Card: the dataset card beside the newest shards, and the HTML report. Reads tables; decides and measures nothing."""

import time
from typing import Any

from filters.gates import Policy, load_policy
from manifests import card, files
from manifests.query import register
from manifests.schema import SAMPLES, SHARDS
from pipeline.context import Context
from pipeline.jobs import generation, status
from pipeline.report import facts as report_facts
from pipeline.report import overview, write, yields
from pipeline.report.facts import Facts
from pipeline.sources.store import Store


def run(context: Context) -> dict[str, Any]:
    """Write the card (when there are shards), OUT/report/index.html and samples.html; the files and what they show.

    Works at any time of a run: what is not there yet is named on the pages, and listed under `missing`.
    """
    started = time.monotonic()
    context.prepare()
    facts = report_facts.gather(context.catalog)
    policy = load_policy(context.settings.policy)
    counts = status.of(context.catalog)
    stages = overview.made_by(facts, context.settings.stages)
    written = _card(context, facts, policy, stages)
    page = write.index(context.out, facts, counts, policy, stages, written)
    gallery, shown = write.gallery(context.out, facts, policy, Store(context.settings.sources))
    paths = [path for path in (written, page, gallery) if path]
    return {
        "job": "card",
        "files": [files.relative(path, context.out) for path in paths],
        "missing": [gap["table"] for gap in facts.missing()],
        "samples": sum(row["count"] for row in counts["shards"]),
        "shown": shown,
        "seconds": round(time.monotonic() - started, 2),
    }


def again(context: Context) -> list[str]:
    """Write the cards (and the report) that there are once more, of every generation; their files."""
    folder = context.out / "shards"
    known = [g for g in generation.listed(folder) if files.exists(folder / g.name / "README.md")]
    if not known and not files.exists(context.out / "report" / "index.html"):
        return []
    facts, policy = report_facts.gather(context.catalog), load_policy(context.settings.policy)
    stages = overview.made_by(facts, context.settings.stages)
    for release in known:
        for name, schema in (("samples", SAMPLES), ("shards", SHARDS)):
            register(facts.con, context.catalog.table(name, release.recipe, schema))
        _card(context, facts, policy, stages)
    return [f"shards/{g.name}/README.md" for g in known] + run(context)["files"][-2:]


def _card(context: Context, facts: Facts, policy: Policy, stages: list[dict[str, Any]]) -> files.AnyPath | None:
    """The dataset card, once samples are in shards."""
    if not {"samples", "shards"} <= facts.have:
        return None
    gates = yields.by_gate(facts, policy)
    return card.write(context.out, facts.con, stages, {"name": policy.name, "text": policy.description, "gates": gates})
