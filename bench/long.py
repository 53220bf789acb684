"""Sources of many hours: time and memory of probing, shot detection, planning, and of a clip near the end, by length.

Each length is looked at in a process of its own. Run: python -m bench.long [--hours 0.5 1 2 4] [--record]
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import markdown
from bench.harness import record
from media import ffmpeg

SIZE, FPS, SHOT_S, BASE_S = "128x72", 25, 2, 60
WINDOW_S = (2.0, 10.0)


def make(folder: Path, hours: float) -> Path:
    """A film with a cut every two seconds: a minute of it, repeated without decoding."""
    base, path = folder / "minute.mp4", folder / f"{hours:g}h.mp4"
    quiet = [ffmpeg.binary(), "-y", "-nostdin", "-loglevel", "error"]
    if not base.exists():
        scenes = f"mod(floor(N/{SHOT_S * FPS})*97,200)+20+16*sin(X/9+N/11)"
        picture = f"color=gray:s={SIZE}:r={FPS}:d={BASE_S},format=yuv420p,geq=lum='{scenes}':cb=128:cr=128"
        sound = f"sine=440:d={BASE_S}:r=44100"
        coded = ["-c:v", "libx264", "-preset", "ultrafast", "-g", "50", "-c:a", "aac", "-b:a", "32k"]
        subprocess.run(
            [*quiet, "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, *coded, str(base)], check=True
        )
    again = str(round(hours * 3600 / BASE_S) - 1)
    subprocess.run([*quiet, "-stream_loop", again, "-i", str(base), "-c", "copy", str(path)], check=True)
    return path


def look(path: Path) -> dict[str, Any]:
    """Seconds of each step, and the peaks of this process and of its children, MB."""
    from media.borders import BorderWatch
    from media.clip import clip_from_probe
    from media.cuts import plan_cuts
    from media.probe import probe
    from media.render import render_views
    from media.shots import detect_shots
    from media.shown import settle
    from media.views import AUDIO_16K, LUMA_25

    seconds: dict[str, float] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.monotonic()
        made = work()
        seconds[name] = time.monotonic() - started
        return made

    before = _peak_mb(resource.RUSAGE_SELF)
    found = timed("probe", lambda: probe(path))
    watch = BorderWatch()
    shots = timed("shots", lambda: detect_shots(path, found, see=watch.see))
    shown = timed("settle", lambda: settle(path, found, shots.ranges, watch))
    cuts = timed("plan", lambda: plan_cuts(shots.ranges, found.video.fps, *WINDOW_S))
    clip = clip_from_probe(path, found, cuts[-1].start_frame, cuts[-1].frames, clip_id=bytes(16), source_id=bytes(16))

    def last() -> None:
        with render_views(clip, [LUMA_25, AUDIO_16K]):
            pass

    timed("last clip", last)
    peaks = {"before": before, "own": _peak_mb(resource.RUSAGE_SELF), "ffmpeg": _peak_mb(resource.RUSAGE_CHILDREN)}
    return {"seconds": seconds, "peaks": peaks, "shots": len(shots.ranges), "clips": len(cuts), "shown": len(shown)}


def _peak_mb(who: int) -> float:
    return resource.getrusage(who).ru_maxrss / 1024


def main() -> None:
    """Print the table; `--record` appends it to the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--hours", type=float, nargs="*", default=[0.5, 1, 2, 4])
    options.add_argument("--record", action="store_true")
    options.add_argument("--one", type=Path)
    chosen = options.parse_args()
    if chosen.one:
        print(json.dumps(look(chosen.one)))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for hours in chosen.hours:
            path = make(Path(folder), hours)
            argv = [sys.executable, "-m", "bench.long", "--one", str(path)]
            rows.append(_row(hours, json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)))
            path.unlink()
    header = ["hours", "shots", "probe, s", "shots, s", "s an hour", "plan, s", "last clip, s", "own, MB", "ffmpeg, MB"]
    text = f"{markdown.machine()}.\n\n{markdown.table(header, rows)}"
    record("Long sources: time and memory by length", text, chosen.record)


def _row(hours: float, seen: dict[str, Any]) -> list[object]:
    seconds, peaks = seen["seconds"], seen["peaks"]
    times = [f"{seconds[name]:.2f}" for name in ("plan", "last clip")]
    looked = [f"{seconds['probe']:.2f}", f"{seconds['shots']:.1f}", f"{seconds['shots'] / hours:.1f}"]
    return [f"{hours:g}", seen["shots"], *looked, *times, f"{peaks['own']:.0f}", f"{peaks['ffmpeg']:.0f}"]


if __name__ == "__main__":
    main()
