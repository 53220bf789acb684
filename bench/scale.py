"""On paper: `klear_26b` and `klear_26b_wide` on 8, 64 and 512 H100, by the planner. Estimates: nothing is run.

For each number of GPUs, the quickest layout that fits among sizes of HSDP's groups, context parallelism, recomputation,
sizes of the moments and of micro-batches. The planner's rates are an H100's (`trainer/gpus.py`), its links are assumed.

    python -m bench.scale [--record]
"""

import argparse
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any, NamedTuple, get_args

from bench.harness import record
from bench.markdown import table
from bench.step.planned import MEASURED, TRAINED, predicted
from bench.step.sizes import GRIDS, Sizes, clip_of, made_up_batch
from manifests.errors import ConfigError
from pipeline.settings import with_sets
from trainer.flops import batch_load
from trainer.gpus import gpu_named
from trainer.plan.assumed import assumed
from trainer.plan.clip import Clip, clips_of
from trainer.plan.layout import layout_of
from trainer.plan.plan import at, plan, work_of
from trainer.recompute import Recompute
from trainer.settings import TrainSettings, as_plain, load_train_settings

PRESETS = ("klear_26b", "klear_26b_wide")
GPU = "h100"
STEPS = ((8, 1), (64, 1), (512, 1), (512, 8))
"""GPUs, and how many times the preset's tokens a step has: its 157 clips are too few for 512."""

LONG = Clip(1280, 720, 10.0)
"""A clip that needs context parallelism: 113 thousand tokens."""

HEAD = ("GPUs", "M tokens a step", "layout", "GiB a GPU", "s a step", "tokens/s", "MFU", "waiting", "seconds by part")


class Found(NamedTuple):
    """sets: what was changed. told: the planner's answer."""

    sets: tuple[str, ...]
    told: Mapping[str, Any]

    @property
    def seconds(self) -> float:
        """Of a step."""
        return float(self.told["step"]["seconds"]["step"])


def layouts(settings: TrainSettings, gpus: int) -> Iterator[tuple[str, ...]]:
    """All that is tried, as `--set` words."""
    limit = settings.batch.micro_tokens or 32_768
    shards = sorted({n for n in (8, 16, 32, 64, gpus) if n <= gpus})
    kinds = get_args(Recompute)
    for shard, context, kept, moments in product(shards, (1, 2, 4, 8), kinds, ("fp32", "bf16")):
        for tokens in {limit, limit * context}:
            yield (
                f"parallel.shard={shard}",
                f"parallel.context={context}",
                f"parallel.recompute={kept}",
                f"optim.state_dtype={moments}",
                f"batch.micro_tokens={tokens}",
            )


def quickest(settings: TrainSettings, gpus: int, clips: list[Clip]) -> Found | None:
    """The quickest layout that fits; None where none does. Of those within a hundredth of it, the one with the smallest
    groups and the least traffic: the planner knows nothing of the latency of large groups."""
    fitting: list[Found] = []
    work, kind = work_of(settings, clips), gpu_named(GPU)
    for sets in layouts(settings, gpus):
        changed = with_sets(TrainSettings, dict(as_plain(settings)), sets)
        try:
            told = at(changed, layout_of(changed, gpus, work.largest.tokens), work, kind)
        except ConfigError:
            continue  # numbers that do not divide
        if told["memory"]["total"] <= told["memory"]["usable"]:
            fitting.append(Found(sets, told))
    enough = 1.01 * min((found.seconds for found in fitting), default=0.0)
    alike = (found for found in fitting if found.seconds <= enough)
    return min(alike, key=lambda f: (f.told["layout"]["shard"], f.told["communication"]["total"]), default=None)


def row(gpus: int, told: Mapping[str, Any], layout: str) -> list[object]:
    """A line under `HEAD`."""
    step, seconds = told["step"], dict(told["step"]["seconds"])
    whole = seconds.pop("step")
    return [
        gpus,
        f"{step['tokens'] / 1e6:.1f}",
        layout,
        f"{told['memory']['total'] / 2**30:.1f}",
        f"{whole:.2f}",
        f"{step['tokens_per_s']:,.0f}",
        f"{step['mfu']:.1%}",
        f"{step['waiting']:.2f}",
        ", ".join(f"{name} {s:.2f}" for name, s in seconds.items()),
    ]


def table_of(preset: str, clips: list[Clip] | None) -> str:
    """One preset: as it is, and the quickest layout. clips: instead of the preset's."""
    rows: list[list[object]] = []
    for gpus, times in STEPS:
        base = load_train_settings(preset, ["parallel.compile=true"])
        tokens = base.stage(1).tokens * times
        settings = with_sets(TrainSettings, dict(as_plain(base)), [f"stages.0.tokens={tokens}"])
        found = plan(settings, gpus, GPU, clips or ())
        needed = "as it is" if found["fits"] else f"as it is: refused; {' '.join(found['change']) or 'nothing fits'}"
        if found["fits"] or found["after"]:
            rows.append(row(gpus, found if found["fits"] else found["after"], needed))
        best = quickest(settings, gpus, clips or clips_of(settings))
        if best:
            rows.append(row(gpus, best.told, "quickest: " + ", ".join(s.partition(".")[2] for s in best.sets)))
    return table(HEAD, rows)


def one_gpu() -> str:
    """The planner's step of the benchmark's model beside what was measured of such models on an H100."""
    config, rows = Sizes().ours(), []
    for tokens, (bare, peer) in MEASURED.items():
        load = batch_load(made_up_batch(config, clip_of(GRIDS[tokens])).packed)
        ms = predicted(config, load, gpu_named(GPU), 14 * TRAINED)["step"] * 1e3
        rows.append([f"{tokens:,}", f"{ms:.1f}", *(f"{other:,.0f} ({ms / other - 1:+.1%})" for other in (bare, peer))])
    head = ("tokens", "the planner's ms", "a bare compiled stack, measured", "the peer, measured")
    return table(head, rows)


def main() -> None:
    """A table a preset and clip, and what they assume."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="append the tables to bench/RESULTS.md")
    given = parser.parse_args()
    texts = [
        "Estimates by the planner; no such cluster was at hand. Presets: FSDP over all GPUs, here with "
        "parallel.compile=true, which they do not set before it is timed."
    ]
    for preset in PRESETS:
        for words, clips in (("848x480, 5 s", None), ("1280x720, 10 s", [LONG])):
            texts.append(f"### {preset}, clips of {words}\n\n{table_of(preset, clips)}")
    texts.append(f"### One H100, 8 layers of width 3,072, optimizer included\n\n{one_gpu()}")
    settings = load_train_settings(PRESETS[0], ["parallel.compile=true"])
    told = assumed(gpu_named(GPU), layout_of(settings, 64, 1))
    texts.append("### Assumed\n\n" + table(["of", "what"], list(told.items())))
    record("klear_26b at scale on paper, H100, by the planner (estimates)", "\n\n".join(texts), given.record)


if __name__ == "__main__":
    main()
