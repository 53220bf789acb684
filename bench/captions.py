"""Captions: a live endpoint asked about the clips of a folder; what a clip takes, and what a million would cost.

python -m bench.captions MEDIA --stage caption.audio_endpoint --set url=http://127.0.0.1:8000/v1 --set model=NAME \\
    --set licence=Apache-2.0 [--seconds 5] [--clips 32] [--at-once 8]
"""

import argparse
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from bench.markdown import machine, table
from manifests.errors import KlearError
from media.clip import Clip
from media.render import render_views
from media.whole import whole_clip
from pipeline import stages
from pipeline.stages import StageRef

HEADER = (
    "clips",
    "answered",
    "prompt tokens/clip",
    "tokens/clip",
    "tokens/s",
    "s/request",
    "CPU-s/clip",
    "euro/M clips",
)


def clips_of(folder: Path, seconds: float, most: int) -> list[Clip]:
    """The first seconds of each file that can be read and has sound."""
    found: list[Clip] = []
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".mp4", ".mpg", ".mkv", ".webm", ".mov"}):
        try:
            whole = whole_clip(path)
        except KlearError:
            continue
        if whole.audio_rate and len(found) < most:
            found.append(
                replace(whole, clip_id=path.name.encode()[:16], frames=min(whole.frames, round(seconds * whole.fps)))
            )
    return found


def asked(stage: Any, clips: list[Clip], at_once: int) -> tuple[list[Any], float, float]:
    """Rows (or errors), wall and CPU seconds of the stage alone; views are rendered before."""
    rows, wall, cpu = [], 0.0, 0.0
    for start in range(0, len(clips), at_once):
        with ExitStack() as stack:
            group = clips[start : start + at_once]
            given = [(clip, stack.enter_context(render_views(clip, list(stage.VIEWS))), {}) for clip in group]
            began, busy = time.monotonic(), time.process_time()
            rows += stage.many(given)
            wall, cpu = wall + time.monotonic() - began, cpu + time.process_time() - busy
    return rows, wall, cpu


def main() -> None:
    """Ask, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("media", type=Path)
    parser.add_argument("--stage", default="caption.audio_endpoint")
    parser.add_argument("--set", action="append", default=[], help="a parameter of the stage: name=value")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clips", type=int, default=32)
    parser.add_argument("--at-once", type=int, default=8)
    given = parser.parse_args()
    params = {name: yaml.safe_load(value) for name, _, value in (item.partition("=") for item in given.set)}
    stage: Any = stages.make(StageRef(name=given.stage, params=params))
    clips = clips_of(given.media, given.seconds, given.clips)
    rows, wall, cpu = asked(stage, clips, given.at_once)
    good = [row for row in rows if not isinstance(row, Exception)]
    for error in {str(row) for row in rows if isinstance(row, Exception)}:
        print(f"failed: {error}")
    if good:
        read, written = (sum(row[name] for row in good) / len(good) for name in ("prompt_tokens", "tokens"))
        price = stage.settings.price
        line = [len(rows), len(good), f"{read:.0f}", f"{written:.0f}", f"{written * len(good) / wall:.0f}"]
        line += [f"{sum(row['seconds'] for row in good) / len(good):.2f}", f"{cpu / len(rows):.4f}"]
        print(f"{given.stage}, {stage.settings.model}, {given.at_once} clips at once; asked from {machine()}\n")
        print(table(HEADER, [[*line, f"{read * price.prompt + written * price.completion:.2f}"]]))


if __name__ == "__main__":
    main()
