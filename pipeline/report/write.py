"""Write the report: OUT/report/index.html and samples.html, with the clips that they play."""

from collections.abc import Iterable, Mapping
from operator import methodcaller
from typing import Any

from filters.gates import Policy
from manifests.errors import KlearError
from manifests.files import AnyPath, exists, relative, replace
from pipeline.report import (
    clips,
    costs,
    evaluation,
    generated,
    limits,
    measures,
    overview,
    plots,
    samples,
    sources,
    yields,
)
from pipeline.report.facts import Facts
from pipeline.report.page import render
from pipeline.report.posters import poster
from pipeline.sources.store import Store

Row = Mapping[str, Any]


def index(
    out: AnyPath, facts: Facts, status: Mapping[str, Any], policy: Policy, stages: Iterable[Row], card: AnyPath | None
) -> AnyPath:
    """Write the page of numbers and plots. status: of `klear status`. stages: of
    `overview.made_by`. card: the dataset card, where there is one."""
    bounds = limits.of(policy)
    gated, free = measures.panels(facts, bounds)
    clips_there = "clips" in facts.have and bool(status["clips"]["total"])
    released = facts.rows("SELECT * FROM shards ORDER BY shard") if "shards" in facts.have else []
    gates = yields.by_gate(facts, policy)
    text = render(
        "index.html.j2",
        summary=overview.summary(status, gates),
        title=out.name,
        policy=policy,
        missing=facts.missing(),
        tiles=overview.headline(facts, status),
        sources=sources.listed(facts),
        outcomes=sources.outcomes(facts),
        total_sources=status["sources"]["total"],
        durations=plots.durations(facts) if clips_there else "",
        classes=plots.classes(facts) if clips_there else "",
        gated=gated,
        free=free,
        unmeasured=measures.unmeasured(facts, bounds) if clips_there else [],
        yields=gates,
        capabilities=yields.capabilities(facts),
        causes=overview.causes(facts),
        stages=stages,
        costs=costs.by_job(facts),
        shards=released,
        generation=released[0]["generation"] if released else None,
        card=f"../{relative(card, out)}" if card else None,
        data_docs=exists(out / "report" / "data_docs" / "index.html"),
        evaluations=evaluation.read(out / "report"),
        mixtures=evaluation.mixtures(out / "report"),
    )
    return _write(out / "report" / "index.html", text)


def gallery(out: AnyPath, facts: Facts, policy: Policy, store: Store) -> tuple[AnyPath, dict[str, int]]:
    """Write the page of clips that play, and the clips; how many of each kind it shows."""
    bounds = limits.of(policy)
    kept, rejected, made = samples.kept(facts), samples.rejected(facts), generated.listed(out)
    origin = samples.sources_of(facts, [*kept, *rejected])
    kept_cards = [_card(row, origin, bounds, *_extracted(out, row)) for row in kept]
    rejected_cards = [_card(row, origin, bounds, *clips.render_small(out, row, store)) for row in rejected]
    groups = [{"class": name, "cards": [c for c in kept_cards if c["class"] == name]} for name in samples.SHOWN_CLASSES]
    clips.tidy(out, {card["href"].rpartition("/")[2] for card in [*kept_cards, *rejected_cards] if card["href"]})
    text = render(
        "samples.html.j2",
        title=out.name,
        missing=facts.missing(),
        kept=[group for group in groups if group["cards"]],
        rejected=rejected_cards,
        generated=made,
    )
    counts = {"kept": len(kept_cards), "rejected": len(rejected_cards), "generated": len(made)}
    return _write(out / "report" / "samples.html", text), counts


def _extracted(out: AnyPath, row: Mapping[str, Any]) -> tuple[AnyPath | None, str]:
    try:
        return clips.extract(out, row), ""
    except KlearError as error:
        return None, f"{error.code}: {error.message}"


def _card(
    row: dict[str, Any], origin: Mapping[bytes, dict[str, Any]], bounds: Any, path: AnyPath | None, absent: str
) -> dict[str, Any]:
    found = samples.card(row, origin.get(row["source_id"], {}), bounds)
    href, still = (f"clips/{path.name}", f"clips/{poster(path).name}") if path else (None, None)
    return {**found, "href": href, "poster": still, "absent": absent}


def _write(path: AnyPath, text: str) -> AnyPath:
    replace(path, methodcaller("write", text.encode()))
    return path
