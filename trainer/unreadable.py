"""Samples that could not be read or encoded: said, and written down; they count in no loss."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from operator import methodcaller
from pathlib import Path

from manifests import files
from pipeline import console
from trainer.feed import Lost
from trainer.parallel import World


def report_unreadable(lost: Iterable[Lost], out: Path, stage: int, world: World) -> None:
    """Append a line each to OUT/report/unreadable-stage-<n>.jsonl, which says who met it (`rank`)."""
    who = {"rank": world.rank}
    rows = [{"position": d.position, "key": d.key, "task": d.task, "reason": why} | who for d, why in lost]
    if not rows:
        return
    path = out / "report" / f"unreadable-stage-{stage}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        file.write("".join(json.dumps(row) + "\n" for row in rows))
    for row in rows:
        console.say(f"{row['key']} ({row['reason']})", "unreadable", "bold yellow")


def report_unusable(unusable: Mapping[str, str], out: Path, world: World) -> None:
    """Write OUT/report/unusable.json (key to reason) and say how many there are of each cause; the first process does.

    unusable: reasons begin with their code, as in `LatentSet.unusable`; nothing happens when there are none.
    """
    if not unusable or not world.first:
        return
    path = out / "report" / "unusable.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, methodcaller("write", (json.dumps(unusable, indent=1) + "\n").encode()))
    causes = Counter(reason.partition(": ")[0] for reason in unusable.values())
    told = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
    console.say(f"{len(unusable)} samples ({told}): see report/{path.name}", "unusable", "bold yellow")
