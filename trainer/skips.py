"""Skipped steps by name: which samples they were skipped for, on the screen, in a file, and left out of the stream."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isfinite
from pathlib import Path

import torch
import torch.distributed as dist

from pipeline import console
from trainer.guard import REASONS, Guard, Judged
from trainer.parallel import World

MOST = 8
"""Samples named for one step."""


@dataclass(frozen=True)
class Suspect:
    """A document of a skipped step. share: of the step's loss, both media alike; None where it is not finite."""

    position: int
    key: str
    task: str
    share: float | None


@dataclass(frozen=True)
class Skip:
    """A skipped step. step: updates before it. norm: of its gradient, None where not finite.

    suspects: the samples that are named. positions: the turns of the stream to leave out if training goes back: of the
    samples whose loss is not finite; where none is (a spike), of the whole step.
    """

    step: int
    reason: str
    norm: float | None
    suspects: tuple[Suspect, ...]
    positions: tuple[int, ...]


def read_skips(guard: Guard, world: World) -> list[Skip | None]:
    """Look at every step since the last look: a Skip, or None for one that was taken. All ranks call it together."""
    unread, guard.unread = guard.unread, []
    if not unread:
        return []
    values = torch.stack([torch.stack([judged.reason, judged.norm]) for judged in unread]).tolist()
    return [
        _skip(judged, int(reason), norm, world) if reason else None
        for judged, (reason, norm) in zip(unread, values, strict=True)
    ]


def report_skips(skips: Sequence[Skip], out: Path, stage: int) -> None:
    """Say each, and append a line per named sample to OUT/report/skipped-stage-<n>.jsonl. The first process calls."""
    if not skips:
        return
    path = out / "report" / f"skipped-stage-{stage}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        for skip in skips:
            step = {"step": skip.step + 1, "reason": skip.reason, "norm": skip.norm}
            file.writelines(json.dumps(step | asdict(suspect)) + "\n" for suspect in skip.suspects)
            names = ", ".join(f"{s.key} ({s.task}, position {s.position})" for s in skip.suspects)
            console.say(f"step {skip.step + 1} of stage {stage} ({skip.reason}): see {names}", "skipped", "bold yellow")


def _skip(judged: Judged, reason: int, norm: float, world: World) -> Skip:
    documents = _gathered(judged, world)
    wild = [s for s in documents if s.share is None]
    wanted = wild or sorted(documents, key=lambda s: -(s.share or 0.0))
    named = tuple(wanted[:MOST])
    left_out = tuple(s.position for s in wild or documents)
    return Skip(judged.step, REASONS[reason], norm if isfinite(norm) else None, named, left_out)


def _gathered(judged: Judged, world: World) -> list[Suspect]:
    """The documents of all ranks, by position; ranks that hold parts of one document add up."""
    shares = judged.shares.sum(1).tolist()
    rows = [(*document, share) for document, share in zip(judged.documents, shares, strict=True)]
    if world.size > 1:
        everyone: list = [None] * world.size
        dist.all_gather_object(everyone, rows)
        rows = [row for part in everyone for row in part]
    rows.sort()
    found = [(*document, sum(row[3] for row in same)) for document, same in groupby(rows, key=lambda row: row[:3])]
    total = sum(share for *_, share in found if isfinite(share)) or 1.0
    return [Suspect(at, key, task, share / total if isfinite(share) else None) for at, key, task, share in found]
