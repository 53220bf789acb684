"""How well sync survives cutting: offset errors of every event in sources of all kinds, and a line in RESULTS.md.

python -m bench.sync --count 300 --seed 1 [--jobs 2] [--record]
"""

import argparse
import platform
import subprocess
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np

from bench.sync_measure import Event, Outcome, survey
from bench.sync_sources import Spec, specs
from media.scratch import scratch_dir

_HEAD = (
    "| container | sources | failed | events | wrong | by time | by index | no edit lists | samples | share |\n"
    "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
)


def main() -> None:
    """Run the matrix, print what failed and the table; append the table to bench/RESULTS.md with --record."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--count", type=int, default=300, help="sources to make")
    ask.add_argument("--seed", type=int, default=1)
    ask.add_argument("--jobs", type=int, default=1, help="sources at a time")
    ask.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    given = ask.parse_args()
    outcomes = []
    with ProcessPoolExecutor(given.jobs) as pool:
        for outcome in pool.map(_survey, specs(given.count, given.seed)):
            outcomes.append(outcome)
            for problem in outcome.problems:
                print(f"{outcome.spec.title}: {problem}", flush=True)
    text = f"{len(outcomes)} sources of seed {given.seed}.\n\n{table(outcomes)}\n"
    print(text)
    if given.record:
        title = f"\n## {date.today()}: sync after cutting, {platform.processor() or platform.machine()}\n{_NOTE}"
        with Path(__file__).with_name("RESULTS.md").open("a") as file:
            file.write(title + text)


_NOTE = """Offset of sound against picture of every event, after minus before, absolute: median / 95% / largest, in ms.
Before: ffmpeg's decode of the source, edit lists and priming honoured. After: the encoded sample, by timestamps, by
frame and sample index alone, and with edit lists ignored. Wrong: over half an output frame + 1 ms, or the sound not at
its sample (half a sample at the source's rate, one at another; where timestamps are in milliseconds and blocks differ
in length or follow a hole, that millisecond). Samples: error of the sound's place where the clock is exact. Share:
the largest offset as a share of what is allowed.
"""


def _survey(spec: Spec) -> Outcome:
    with tempfile.TemporaryDirectory(dir=scratch_dir()) as folder:
        try:
            return survey(spec, Path(folder))
        except subprocess.CalledProcessError as error:
            return Outcome(spec, (), (f"cannot be made: {error.stderr[-200:]!r}",))


def table(outcomes: list[Outcome]) -> str:
    """One row a container and one for all."""
    names = sorted({outcome.spec.container for outcome in outcomes})
    rows = [_row(name, [o for o in outcomes if o.spec.container == name]) for name in names]
    return "\n".join([_HEAD, *rows, _row("**all**", outcomes)])


def _row(name: str, outcomes: list[Outcome]) -> str:
    events = [event for outcome in outcomes for event in outcome.events]
    failed = sum(1 for outcome in outcomes if outcome.problems)
    spreads = [
        _spread(abs(getattr(e, what)) for e in events) for what in ("by_time_ms", "by_index_ms", "ignoring_edits_ms")
    ]
    exact = [event for event in events if event.allowed < 0.6]
    over = f"{max((_share(event) for event in events), default=0):.2f}"
    cells = [name, len(outcomes), failed, len(events), sum(event.wrong for event in events), *spreads]
    return "| " + " | ".join(map(str, [*cells, _spread(abs(e.samples) for e in exact), over])) + " |"


def _share(event: Event) -> float:
    """The worst of its offsets over what is allowed: half an output frame + 1 ms."""
    worst = max(abs(event.by_time_ms), abs(event.by_index_ms), abs(event.ignoring_edits_ms))
    return worst / (500 / event.fps + 1)


def _spread(values: Iterable[float]) -> str:
    found = np.fromiter(values, float)
    return " / ".join(f"{v:.2f}" for v in np.percentile(found, [50, 95, 100])) if len(found) else "-"


if __name__ == "__main__":
    main()
