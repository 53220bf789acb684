"""A tiny model learns sixteen real clips by heart: are the samples of the sixteen captions those clips?

Sixteen clips of 2 s at 128x80 with sound, the trainer's own loop, the averaged weights, Euler sampling without
guidance. Five variants at equal steps: `base` (logmel4, prediction x, video scaled with p = 0.5); `mdct`; `v`; `p0` and
`p1`. A sample is a hit when, of the sixteen clips, the prompted one is the nearest: by PSNR for video, by log-spectral
distance for sound. The same for what the codecs alone make of the clips.

python -m bench.overfit --media FOLDER [--out out/overfit] [--do prepare train judge] [--variants base mdct v p0 p1]
    [--steps 6000 --clips-per-step 4 --layers 2 --width 192 ...] [--at-once 1] [--record]

`train` needs OUT/sets alone, so it can run on a machine with a GPU and no media; it writes one file a variant into
--results. --at-once: variants that train beside each other, each in a process of its own.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench import harness, markdown
from bench.overfit_run import VARIANTS, Plan, Variant, run, steps_a_second


def main() -> None:
    """Do the steps asked for; print and record the table."""
    given = _arguments()
    variants = [VARIANTS[name] for name in given.variants]
    results = given.results or given.out / "results"
    if "prepare" in given.do:
        from bench.overfit_clips import prepare

        if given.media is None:
            raise SystemExit("give --media, the folder of real media, or set KLEAR_MEDIA")
        prepare(given.media, given.out, variants)
    if "train" in given.do:
        _train(variants, _plan(given), given, results)
    if "judge" in given.do:
        _judge(variants, given, results)


def _arguments() -> argparse.Namespace:
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("--media", type=Path, default=os.environ.get("KLEAR_MEDIA"), help="real media, see MEDIA.tsv")
    ask.add_argument("--out", type=Path, default=Path("out/overfit"))
    ask.add_argument("--results", type=Path, help="where samples go and are read; OUT/results")
    ask.add_argument("--do", nargs="+", choices=["prepare", "train", "judge"], default=["prepare", "train", "judge"])
    ask.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    ask.add_argument("--at-once", type=int, default=1, help="variants that train at once, a process each")
    ask.add_argument("--seconds-limit", type=float, help="of training: a short trial of all, then as many steps as fit")
    ask.add_argument("--record", action="store_true")
    for name, default in (("steps", 6000), ("clips-per-step", 4), ("layers", 2), ("width", 192), ("seed", 0)):
        ask.add_argument(f"--{name}", type=int, default=default)
    for name, value in (("lr", 2e-3), ("final-lr", 0.02), ("ema", 0.998)):
        ask.add_argument(f"--{name}", type=float, default=value)
    ask.add_argument("--rank", type=int, default=64, help="of AdaLN; 0 for full matrices")
    ask.add_argument("--sampler-steps", type=int, default=50)
    ask.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    ask.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    return ask.parse_args()


def _plan(given: argparse.Namespace) -> Plan:
    same = {f.name: getattr(given, f.name) for f in fields(Plan) if hasattr(given, f.name)}
    return Plan(**same | {"clips": given.clips_per_step, "rank": given.rank or None})


def _train(variants: Sequence[Variant], plan: Plan, given: argparse.Namespace, results: Path) -> None:
    """All variants, with equally many steps."""
    with ExitStack() as open_pool:
        each: Callable[..., Iterator[Any]] = map
        if given.at_once > 1:
            each = open_pool.enter_context(ProcessPoolExecutor(given.at_once, get_context("spawn"))).map
        if given.seconds_limit:
            rates = list(each(partial(steps_a_second, plan=plan, out=given.out), variants))
            seconds = given.seconds_limit * given.at_once / len(variants)
            plan = replace(plan, steps=min(plan.steps, int(min(rates) * seconds)))
            print(f"{min(rates):.1f} steps/s: {plan.steps} steps", file=sys.stderr)
        for told in each(partial(run, plan=plan, out=given.out, results=results), variants):
            print(json.dumps({name: told[name] for name in told if name != "plan"}), flush=True)


def _judge(variants: Sequence[Variant], given: argparse.Namespace, results: Path) -> None:
    from bench.overfit_judge import judge
    from bench.overfit_pictures import draw

    judged = [judge(variant, given.out, results) for variant in variants]
    for variant in variants:
        print(*draw(variant, given.out, results), file=sys.stderr)
    (given.out / "judged" / "judged.json").write_text(json.dumps(judged, indent=1) + "\n")
    harness.record(_title(judged[0]["run"]), _table(judged), given.record)


def _title(told: dict[str, Any]) -> str:
    plan = told["plan"]
    on = markdown.machine() if told["device"] == "cpu" else told["device_name"]
    return (
        f"sixteen real clips by heart, {plan['steps']} steps of {plan['clips']} clips, {plan['layers']} layers, "
        f"width {plan['width']}, {on}"
    )


def _table(judged: Sequence[dict[str, Any]]) -> str:
    """Markdown: a row a variant, medians over the clips."""
    header = [
        "variant",
        "video: nearest",
        "PSNR dB",
        "codec's",
        "sound: nearest",
        "LSD dB",
        "codec's",
        "LSD below 5.5 kHz",
    ]
    header += ["CPU-s", "s"]
    rows = [
        [
            j["variant"],
            f"{j['hits_video']} of 16",
            f"{j['psnr_db']:.1f}",
            f"{j['codec_psnr_db']:.1f}",
            f"{j['hits_audio']} of 16",
            f"{j['lsd_db']:.1f}",
            f"{j['codec_lsd_db']:.1f}",
            f"{j['lsd_low_db']:.1f}",
            f"{j['run']['train_cpu_s'] + j['run']['sample_cpu_s']:.0f}",
            f"{j['run']['train_s'] + j['run']['sample_s']:.0f}",
        ]
        for j in judged
    ]
    return markdown.table(header, rows)


if __name__ == "__main__":
    main()
