"""Bytes that a step of our fused model moves beside its products and attention, counted from its own code; no GPU.

Beside them what each tensor once between two products would take (the floor of `bench.train_step`), and the step that
follows at the rates that an H100 sustained.

    python -m bench.traffic [--record]
"""

import argparse
from collections import Counter
from collections.abc import Mapping

from bench.harness import record
from bench.markdown import table
from bench.step.counted import counted
from bench.step.planned import MEASURED, TRAINED, predicted
from bench.step.sizes import GRIDS, Sizes, clip_of, made_up_batch
from bench.step.traffic import block_bytes
from trainer.flops import batch_load
from trainer.gpus import gpu_named
from trainer.plan.casts import cast_bytes

KERNELS = 10
"""Shown by name: the largest."""

Case = tuple[int, bool]
"""Tokens, and whether in float8."""


def steps(found: Mapping[Case, Counter[str]]) -> str:
    """By case: the bytes, their floor, and the step."""
    config, gpu = Sizes().ours(), gpu_named("h100")
    rows = []
    for (tokens, float8), seen in found.items():
        load = batch_load(made_up_batch(config, clip_of(GRIDS[tokens])).packed)
        told = predicted(config, load, gpu, 14 * TRAINED, float8)
        least = config.layers * (block_bytes(config, tokens) + (cast_bytes(config, tokens) if float8 else 0))
        elementwise = seen.total() / gpu.copy
        step = told["products"] + told["attention"] + told["optimizer"] + elementwise
        peer = MEASURED[tokens][1] / 1e3
        rows.append(
            [f"{tokens:,}", "float8" if float8 else "bf16", f"{seen.total() / 1e9:.1f}", f"{least / 1e9:.1f}",
             *(f"{s * 1e3:.1f}" for s in (elementwise, told["products"], told["attention"], told["optimizer"], step)),
             f"{peer / step:.2f}"]
        )  # fmt: skip
    head = ("tokens", "products in", "GB", "least GB", "elementwise ms", "products", "attention", "optimizer", "step")
    return table([*head, "peer measured / step"], rows)


def kernels(found: Mapping[Case, Counter[str]]) -> str:
    """GB by kernel and case."""
    largest = [name for name, _ in sum(found.values(), Counter()).most_common(KERNELS)]
    rows = [[name, *(f"{seen[name] / 1e9:.2f}" for seen in found.values())] for name in largest]
    rest = [f"{(seen.total() - sum(seen[n] for n in largest)) / 1e9:.2f}" for seen in found.values()]
    named = [f"{tokens:,} {'float8' if float8 else 'bf16'}" for tokens, float8 in found]
    return table(["GB", *named], [*rows, ["all others", *rest]])


def main() -> None:
    """Count, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="append what was counted to bench/RESULTS.md")
    given = parser.parse_args()
    config = Sizes().ours()
    found = {
        (tokens, float8): counted(config, made_up_batch(config, clip_of(grid)), float8)
        for tokens, grid in GRIDS.items()
        for float8 in (False, True)
    }
    text = f"{steps(found)}\n\n{kernels(found)}"
    text += "\n\nCounted from code, nothing timed: rates and the peer's times are an H100's, measured before."
    record("bytes of a fused step, 8 shared layers of width 3,072, and the step that follows", text, given.record)


if __name__ == "__main__":
    main()
