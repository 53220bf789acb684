"""The floor: the same work on the same clips as a bare multiprocessing loop around ffmpeg. No ledger, no Ray, no guard.

python -m bench.floor ingest|measure|shard FOLDER --stages a,b --jobs 2
"""

import argparse
import hashlib
import io
import json
import multiprocessing
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from manifests.ids import file_digest
from media import ffmpeg, probe_child, tracks
from media.child import Limits


def bare(argv: list[str], limits: Limits, keep: Sequence[int] = ()) -> str:
    """ffmpeg, and nothing around it."""
    subprocess.run(argv, pass_fds=keep, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return ""


def main() -> None:
    """Do the work on every clip of the folder with `jobs` processes."""
    ask = argparse.ArgumentParser()
    ask.add_argument("work", choices=sorted(WORK))
    ask.add_argument("folder", type=Path)
    ask.add_argument("--stages", default="")
    ask.add_argument("--jobs", type=int, default=2)
    given = ask.parse_args()
    paths = sorted(given.folder.glob("*.mp4"))
    work = partial(WORK[given.work], stages=tuple(filter(None, given.stages.split(","))))
    with multiprocessing.Pool(given.jobs) as pool:
        done = sum(pool.imap_unordered(work, paths, chunksize=4))
    sys.exit(0 if done == len(paths) else f"{done} of {len(paths)} clips")


def ingest(path: Path, stages: Sequence[str] = ()) -> bool:
    """Probe, hash, shots, cut plan."""
    from media import borders, cuts, detect, shots, shown

    found = _probed(path)
    file_digest(path)
    watch = borders.BorderWatch()
    seen = shots.detect_shots(path, found, detect.make("pyscenedetect", "cpu"), see=watch.see)
    shown.settle(path, found, seen.ranges, watch)
    return bool(cuts.plan_cuts(seen.ranges, found.video.fps, 2.0, 10.0))


def measure(path: Path, stages: Sequence[str] = ()) -> bool:
    """One ffmpeg for all views, then the stages."""
    from media import render
    from pipeline.stages import StageRef, make

    ffmpeg.run = bare  # type: ignore[assignment]
    made = [_STAGES.setdefault(name, make(StageRef(name=name))) for name in stages]
    clip = _clip(path)
    facts: dict[str, Any] = {}
    with render.render_views(clip, list(dict.fromkeys(view for stage in made for view in stage.VIEWS))) as views:
        for stage in made:
            facts[stage.NAME] = stage(clip, views, facts)
    return True


def shard(path: Path, stages: Sequence[str] = ()) -> bool:
    """Encode, pack, hash."""
    from media.encode import EncodeRecipe, encode_bytes

    ffmpeg.run = bare  # type: ignore[assignment]
    data = encode_bytes(_clip(path), EncodeRecipe(preset="veryfast"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        info = tarfile.TarInfo(path.name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    hashlib.sha256(packed.getvalue()).digest()
    return True


def _probed(path: Path) -> Any:
    """The probe, in this process."""
    from media import probe

    probe.ask = lambda path, *rest: json.dumps(probe_child.look(str(path), list(tracks.DEFAULT_ORDER)))  # type: ignore
    return probe.probe(path)


def _clip(path: Path) -> Any:
    from media.clip import clip_from_probe

    found = _probed(path)
    return clip_from_probe(path, found, 0, found.video.frames, clip_id=bytes(16), source_id=bytes(16))


_STAGES: dict[str, Any] = {}
WORK = {"ingest": ingest, "measure": measure, "shard": shard}


if __name__ == "__main__":
    main()
