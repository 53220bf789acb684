"""Pages of chosen clips: those that another policy would move, and those beside a threshold, for people to judge."""

from collections.abc import Mapping, Sequence
from operator import methodcaller
from typing import Any

from filters.gates import Policy
from manifests.files import AnyPath, replace
from pipeline.context import Context
from pipeline.report import clips, facts, limits, samples
from pipeline.report.page import render
from pipeline.report.posters import poster
from pipeline.sources.store import Store

Row = Mapping[str, Any]
FOLDER = "looked_at"
"""Below OUT/report: the clips that these pages play."""
PAGES = ("policy_diff.html", "policy_audit.html")


def cards(context: Context, policy: Policy, rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Clip id in hex -> what a page shows of it, rendered small. rows: with clip_id (hex) and bucket."""
    if not rows:
        return {}
    known = facts.gather(context.catalog, sorted({row["bucket"] for row in rows}))
    ids = ", ".join(f"from_hex('{key}')" for key in sorted({row["clip_id"] for row in rows}))
    found = known.rows(f"SELECT * FROM report WHERE clip_id IN ({ids})")
    origin = samples.sources_of(known, found)
    bounds, store = limits.of(policy), Store(context.settings.sources)
    return {clip["clip_id"].hex(): _card(context.out, clip, origin, bounds, store) for clip in found}


def _card(out: AnyPath, clip: dict[str, Any], origin: Mapping[bytes, dict[str, Any]], bounds: Any, store: Store) -> Any:
    path, why = clips.render_small(out, clip, store, folder=FOLDER)
    href, still = (f"{FOLDER}/{path.name}", f"{FOLDER}/{poster(path).name}") if path else (None, None)
    found = samples.card(clip, origin.get(clip["source_id"], {}), bounds)
    return {**found, "href": href, "poster": still, "absent": why}


def diff(context: Context, policy: Policy, result: Row) -> AnyPath:
    """Write OUT/report/policy_diff.html: who moves, with clips. result: of `policy diff`. policy: the new one."""
    shown = cards(context, policy, result["clips"])
    moved: dict[str, list[dict[str, Any]]] = {"rejected": [], "kept": []}
    for row in result["clips"]:
        if card := shown.get(row["clip_id"]):
            moved[row["moved"]].append(card)
    text = render("policy_diff.html.j2", result=result, moved=moved)
    return _write(context.out / "report" / PAGES[0], text)


def audit(context: Context, policy: Policy, result: Row) -> AnyPath:
    """Write OUT/report/policy_audit.html: clips beside each threshold, to be judged. result: of `policy audit`."""
    shown = cards(context, policy, result["clips"])
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for row in result["clips"]:
        key = (row["gate"], row["measure"])
        group = groups.setdefault(key, {"gate": key[0], "measure": key[1], "bound": row["bound"], "rows": []})
        if card := shown.get(row["clip_id"]):
            group["rows"].append({**row, "card": card})
    sources = {gate.name: gate.source for gate in policy.gates}
    text = render("policy_audit.html.j2", result=result, groups=list(groups.values()), sources=sources)
    return _write(context.out / "report" / PAGES[1], text)


def _write(path: AnyPath, text: str) -> AnyPath:
    replace(path, methodcaller("write", text.encode()))
    return path
