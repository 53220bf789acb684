"""Ours against the floor (and a peer) on the same clips in one run: cost of one more clip, and of starting, apart."""

import argparse
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench import corpus, harness
from bench.harness import Cost

SECONDS = 6.0
ROLES = {"driver": "pipeline.cli", "hand": "pipeline.engine.serve", "actor": "ray::MapWorker", "floor": "bench.floor"}
Argv = list[str]
Costs = dict[tuple[str, int], list[Cost]]
"""By way and number of clips, a cost a round."""
QUIET = {"OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1", "HF_HUB_OFFLINE": "1"}


@dataclass(frozen=True)
class Way:
    """One way to do the work. prepare: makes what the command needs, not measured. command: on a folder of clips."""

    name: str
    prepare: Callable[[Path], None]
    command: Callable[[Path], Argv]


def arguments(text: str | None) -> argparse.Namespace:
    """--counts 100 400, --scratch, --record, --peer (the Python of an environment with py-data-juicer)."""
    ask = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--counts", type=int, nargs=2, default=[100, 400])
    ask.add_argument("--peer-counts", type=int, nargs=2, default=[10, 30], help="clips for the peer's comparison")
    ask.add_argument("--repeats", type=int, default=1, help="rounds, taken in turn; the median counts")
    ask.add_argument("--scratch", type=Path, default=Path("out/bench"))
    ask.add_argument("--record", action="store_true")
    ask.add_argument("--peer", help="python of an environment with py-data-juicer 1.6.1 and av 13.1.0")
    return ask.parse_args()


def run(title: str, given: argparse.Namespace, ways: list[Way]) -> dict[str, tuple[Cost, Cost]]:
    """Every way on both counts, in turn; prints the table; way -> (cost of a clip, cost of the small run)."""
    folders = [corpus.make(given.scratch / f"clips-{n}", n, SECONDS) for n in given.counts]
    costs: Costs = {}
    for _ in range(given.repeats):
        for folder, count in zip(folders, given.counts):
            for way in ways:
                way.prepare(folder)
                cost = harness.measure(way.command(folder), QUIET, ROLES)
                costs.setdefault((way.name, count), []).append(cost)
                print(f"{way.name}, {count} clips: {cost}", file=sys.stderr, flush=True)
    small, large = given.counts
    found = {
        way.name: harness.slope(_median(costs[way.name, small]), _median(costs[way.name, large]), large - small)
        for way in ways
    }
    harness.record(f"{title}, {platform.machine()}, {os.cpu_count()} cores", table(found, costs, given), given.record)
    return found


def table(found: dict[str, tuple[Cost, Cost]], costs: Costs, given: argparse.Namespace) -> str:
    """Marginal cost per clip and its ratio to the floor, start-up, peak memory."""
    small, large = given.counts
    floor = found["floor"][0]
    lines = [
        f"{SECONDS:g} s clips, 640x360, 25 fps; slope between {small} and {large} clips, 2 processes.",
        "",
        "| way | CPU-s a clip | of floor | wall s a clip | of floor | CPU-s a video-second | start-up s | peak MB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, (each, first) in found.items():
        start = first.wall_s - small * each.wall_s
        peaks = ", ".join(f"{role} {mb:.0f}" for role, mb in _peaks(costs[name, large]).items() if mb)
        lines.append(
            f"| {name} | {each.cpu_s:.3f} | {each.cpu_s / floor.cpu_s:.2f} | {each.wall_s:.3f} "
            f"| {each.wall_s / floor.wall_s:.2f} | {each.cpu_s / SECONDS:.3f} | {start:.1f} | {peaks} |"
        )
    return "\n".join(lines)


def _median(costs: list[Cost]) -> Cost:
    middle = len(costs) // 2
    return Cost(sorted(c.wall_s for c in costs)[middle], sorted(c.cpu_s for c in costs)[middle])


def _peaks(costs: list[Cost]) -> dict[str, float]:
    return {role: max(cost.peak_mb[role] for cost in costs) for role in costs[0].peak_mb}


def klear(command: str, out: Path, preset: Path, *more: str) -> Argv:
    """The argument list of one of our commands."""
    return [sys.executable, "-m", "pipeline.cli", command, "--out", str(out), "--preset", str(preset), *more]


def floor(work: str, folder: Path, stages: str = "") -> Argv:
    """The argument list of the bare loop."""
    return [sys.executable, "-m", "bench.floor", work, str(folder), "--stages", stages]


def fresh(folder: Path) -> None:
    """An empty place: what an earlier run left is removed."""
    shutil.rmtree(folder, ignore_errors=True)


PRESET = """
cut: {{min_s: 2.0, max_s: 10.0}}
tiers: [{{name: cheap, stages: [{stages}]}}]
policy: {policy}
annotate: [{{name: caption.audio_template}}, {{name: caption.video_template}}, {{name: compose.texts}}]
shard: {{shards: 4, val: 0.1, x264_preset: veryfast}}
engine: {{workers: 2, part_clips: 25, bucket_bits: 0}}
"""


def preset(path: Path, stages: str) -> Path:
    """A preset with these measures (names, by commas), that keeps every clip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    policy = path.with_suffix(".policy.yaml")
    policy.write_text("name: all\ngates:\n  - {name: any, measure: audio.loudness.rms_db, min: -200, source: bench}\n")
    named = ", ".join(f"{{name: {name}}}" for name in stages.split(","))
    path.write_text(PRESET.format(stages=named, policy=policy))
    return path
