"""Explain: what each gate turns away, what no other gate would, and which gates turn away the same clips."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from filters import patterns
from filters.interval import wilson
from filters.patterns import FAILS, PASSES, Patterns
from manifests.errors import KlearError
from pipeline import console
from pipeline.context import Context
from pipeline.jobs import decide, known
from pipeline.jobs.policy import drawn
from pipeline.report.limits import scope

PAIRS = 10
"""Pairs of gates that the terminal shows; the JSON has all."""


def run(context: Context) -> dict[str, Any]:
    """Shares, with 95% intervals, are of the clips that speak for all (`drawn.py`), of all if these are too few. `kept`
    counts every clip."""
    policy = decide.policy_of(context)
    counted = count(context)
    rows = [*known_rows(counted)]
    late = drawn.late(context, policy)
    wrong = drawn.unmeasured(context, policy, drawn.found_stages(context))
    heard, _ = speaking(counted, late, wrong)
    bypassed = counted.total(counted.groups["bypass"].to_numpy(zero_copy_only=False))
    kept, gone = counted.kept(), ~counted.kept()
    return {
        "job": "policy explain",
        "policy": policy.name,
        "judged": counted.total(kept | gone),
        "kept": counted.total(kept),
        "classes": rows,
        "sample": int(heard.clips.sum()),
        "bypassed": bypassed if late else None,
        "late": late,
        "wrong_sample": wrong,
        "gates": _gates(heard),
        "pairs": _pairs(heard),
    }


def count(context: Context) -> Patterns:
    """The answers of all clips that can be judged, by class and whether they are of the bypass sample."""
    policy = decide.policy_of(context)
    found = drawn.found_stages(context)
    groups = known.by_group(context, found, decide.reads(policy))
    counted = [patterns.count(policy, con, "judged", ("audio_class", "bypass")) for _, con in groups]
    if not counted or not sum(int(part.clips.sum()) for part in counted):
        raise KlearError("policy:nothing", f"no clip of {context.out} can be judged yet: run `klear measure`")
    return patterns.together(counted)


def speaking(counted: Patterns, late: Sequence[str], wrong: str | None) -> tuple[Patterns, bool]:
    """The patterns of the clips that speak for all, and false; of all clips, and true, when those are too few or not
    measured to the end. late, wrong: as `drawn.late` and `drawn.unmeasured` say."""
    if not late:
        return counted, False
    heard = counted.where(counted.groups["bypass"].to_numpy(zero_copy_only=False))
    few = int(heard.clips.sum()) < min(drawn.ENOUGH, int(counted.clips.sum()))
    return (counted, True) if few or wrong else (heard, False)


def known_rows(counted: Patterns) -> list[dict[str, Any]]:
    """A row an audio class: judged, kept, and the share."""
    kept, classes = counted.kept(), np.array(counted.groups["audio_class"].to_pylist(), object)
    rows = []
    for name in sorted({str(c) for c in classes if c is not None}) + ([None] if None in classes else []):
        of = counted.total(classes == name)
        stays = counted.total((classes == name) & kept)
        rows.append({"class": name or "not classed", "judged": of, "kept": stays, "share": stays / of})
    return rows


def _gates(speaking: Patterns) -> list[dict[str, Any]]:
    rows = []
    total = int(speaking.clips.sum())
    for i, (row, gate) in enumerate(zip(speaking.yields(), speaking.policy.gates)):
        answers = speaking.answers[:, i]
        decided = speaking.total((answers == FAILS) | (answers == PASSES))
        low, high = wilson(row["failed"], decided)
        alone_low, alone_high = wilson(row["alone"], total)
        rows.append(
            {
                "gate": gate.name,
                "scope": gate.scope,
                "classes": scope(gate.classes),
                "decided": decided,
                "fails": row["failed"] / decided if decided else None,
                "fails_low": low,
                "fails_high": high,
                "rejected": row["rejected"] / total if total else None,
                "alone": row["alone"] / total if total else None,
                "alone_low": alone_low,
                "alone_high": alone_high,
            }
        )
    return rows


def _pairs(speaking: Patterns) -> list[dict[str, Any]]:
    """Pairs of gates that fail the same clips, those that agree most first."""
    both, names = speaking.overlap(), [gate.name for gate in speaking.policy.gates]
    rows = []
    for i in range(len(names)):
        for j in range(i + 1, len(names)):
            if together := int(both[i, j]):
                either = int(both[i, i] + both[j, j]) - together
                shares = {"of_a": together / int(both[i, i]), "of_b": together / int(both[j, j])}
                rows.append({"a": names[i], "b": names[j], "both": together, **shares, "jaccard": together / either})
    return sorted(rows, key=lambda row: -row["jaccard"])


def show(result: dict[str, Any]) -> None:
    """Tables for people."""
    console.say(
        f"{result['kept']:,} of {result['judged']:,} judged clips stay ({percent(result['kept'] / result['judged'])})"
    )
    body = [[row["class"], row["judged"], row["kept"], percent(row["share"])] for row in result["classes"]]
    console.rows("By audio class", ["class", "judged", "kept", "share"], body)
    console.say(_about(result))
    body = [
        [
            row["gate"],
            row["decided"],
            between(row["fails"], row["fails_low"], row["fails_high"]),
            percent(row["rejected"]),
            between(row["alone"], row["alone_low"], row["alone_high"]),
        ]
        for row in result["gates"]
    ]
    header = ["gate", "decided", "of them fail", "of all rejected", "by it alone"]
    console.rows(f"Gates of {result['policy']}", header, body)
    told = [[r["a"], r["b"], r["both"], percent(r["of_a"]), percent(r["of_b"])] for r in result["pairs"][:PAIRS]]
    if told:
        console.rows("Gates that fail the same clips", ["a", "b", "both", "of a's", "of b's"], told)


def _about(result: dict[str, Any]) -> str:
    if not result["late"]:
        return f"Shares are of all {result['sample']:,} clips. In brackets: 95% intervals."
    if result["wrong_sample"]:
        return (
            f"Shares are of all {result['sample']:,} clips as measured, so gates of later tiers saw only what earlier "
            f"ones let through: {result['wrong_sample']}. Run `klear filter` to its end with this `bypass`."
        )
    if result["bypassed"] < result["sample"]:
        return (
            f"Shares are of all {result['sample']:,} clips as measured, so gates of later tiers saw only what earlier "
            f"ones let through: just {result['bypassed']} clips bypass the tiers. For shares of everything, raise "
            "`bypass` and run `klear filter` again."
        )
    return (
        f"Shares are of the {result['sample']:,} clips that bypass the tiers: the others that were rejected early have "
        f"no {', '.join(result['late'])}. In brackets: 95% intervals."
    )


def percent(share: float | None) -> str:
    """A share for people."""
    return "–" if share is None else f"{100 * share:.1f}%"


def between(share: float | None, low: float, high: float) -> str:
    """A share with its interval."""
    return "–" if share is None else f"{100 * share:.1f}% ({100 * low:.1f}–{100 * high:.1f})"
