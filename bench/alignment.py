"""Synchformer and ImageBind at full size, with random weights in the authors' formats: clips a second, memory.

Each stage is what a job runs: its checkpoint is written to --scratch, opened as a user's is, and asked about several
clips at once; once with their views at hand, and once with decoding them. The names and shapes of the weights are read
from `*_full_keys.json` below --golden (the authors' models).

python -m bench.alignment --golden DIR [--on cuda] [--precision bfloat16] [--batches 1 8] [--clips 16] [--record]
"""

import argparse
import json
import os
import resource
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import harness, markdown
from filters.semantic.imagebind import ImageBind
from filters.sync.synchformer import Synchformer
from media.clip import Clip
from media.render import render_views
from media.stage import Given
from media.synth import scenes
from media.synth.picture import backdrop
from media.synth.sounds import RATE
from media.whole import whole_clip
from media.writer import write_mp4

SECONDS = 5.0
MODELS = {"synchformer": Synchformer, "imagebind": ImageBind}


def main() -> None:
    """Time every model and batch, print, record."""
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--golden", type=Path, default=os.environ.get("KLEAR_GOLDEN"))
    ask.add_argument("--on", default="auto")
    ask.add_argument("--precision", default="float32")
    ask.add_argument("--batches", type=int, nargs="+", default=[1, 2])
    ask.add_argument("--clips", type=int, default=2)
    ask.add_argument("--at-once", type=int, default=4, help="segments, or pairs of frames, that run together")
    ask.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    ask.add_argument("--scratch", type=Path, default=Path("out/bench"))
    ask.add_argument("--record", action="store_true")
    given = ask.parse_args()
    given.scratch.mkdir(parents=True, exist_ok=True)
    clips = [_clip(given.scratch / f"align-{seed}.mp4", seed) for seed in range(min(given.clips, 4))]
    clips = [clips[i % len(clips)] for i in range(given.clips)]
    rows = [row for name in given.models for row in _model(name, given, clips)]
    text = markdown.table(
        [
            "model",
            "clips at once",
            "clips/s, decoded",
            "CPU-s a clip",
            "clips/s, with decoding",
            "peak GB, host",
            "GPU",
        ],
        rows,
    )
    on = torch.cuda.get_device_name() if torch.cuda.is_available() and given.on != "cpu" else markdown.machine()
    title = f"alignment at full size, {given.precision}, clips of {SECONDS:g} s, torch {torch.__version__}, {on}"
    harness.record(title, text, given.record)


def _clip(path: Path, seed: int) -> Clip:
    """Flashes and beeps, 640 x 400."""
    back = backdrop(seed, (120, 160, 205), (150, 120, 90))
    scene = scenes.flash_beep(back, seed, SECONDS, 25, 0.0)
    frames = np.repeat(np.repeat(scene.frames, 2, 1), 2, 2)
    write_mp4(path, frames, 25, scene.sound, RATE)
    return whole_clip(path)


def _model(name: str, given: argparse.Namespace, clips: Sequence[Clip]) -> list[list[object]]:
    weights = _checkpoint(name, given.golden, given.scratch)
    stage = MODELS[name](weights=str(weights), precision=given.precision, on=given.on, at_once=given.at_once)
    with ExitStack() as held:
        views = {clip.path: held.enter_context(render_views(clip, stage.VIEWS)) for clip in clips}
        ready: list[Given] = [(clip, views[clip.path], {}) for clip in clips]
        stage.many(ready[:1])  # loads, and compiles what there is to compile
        return [[name, batch, *_timed(stage, ready, clips, batch)] for batch in given.batches]


def _timed(stage: Any, ready: Sequence[Given], clips: Sequence[Clip], batch: int) -> list[object]:
    started, cpu = time.monotonic(), time.process_time()
    for start in range(0, len(ready), batch):
        stage.many(ready[start : start + batch])
    decoded, spent = time.monotonic() - started, time.process_time() - cpu
    started = time.monotonic()
    for start in range(0, len(clips), batch):
        with ExitStack() as held:
            group = clips[start : start + batch]
            stage.many([(clip, held.enter_context(render_views(clip, stage.VIEWS)), {}) for clip in group])
    whole = time.monotonic() - started
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    gpu = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if torch.cuda.is_available() else "-"
    many = len(clips)
    return [f"{many / decoded:.3g}", f"{spent / many:.3g}", f"{many / whole:.3g}", f"{host:.1f}", gpu]


def _checkpoint(name: str, golden: Path | None, scratch: Path) -> Path:
    """Random weights under the authors' names and shapes, in their file's form."""
    if golden is None:
        raise SystemExit("give --golden, the folder with synchformer_full_keys.json and imagebind_full_keys.json")
    path = scratch / f"{name}-full.pt"
    if not path.is_file():
        torch.manual_seed(0)
        listed = json.loads((Path(golden) / f"{name}_full_keys.json").read_text())["state_dict"]
        state = {entry["key"]: 0.02 * torch.randn(entry["shape"]) for entry in listed}
        torch.save({"model": state} if name == "synchformer" else state, path)
    return path


if __name__ == "__main__":
    main()
