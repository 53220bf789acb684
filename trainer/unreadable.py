"""Samples that could not be read: said, and written down by the process that met them; they count in no loss."""

import json
from collections.abc import Iterable
from pathlib import Path

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
