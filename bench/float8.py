"""Does float8 train as bf16 does: loss curves of one small model on the same samples, noise and initial weights.

The streams share their weights, so that all linears of the blocks are in float8.

The yardsticks are runs that differ by rounding alone: float32, bf16 from initial weights that were rounded to bfloat16,
and float32 from weights that are off by as much, at random. Real float8 rounding, on a CPU; what it gains in time only
a GPU can say (`bench.train_step`).

    python -m bench.float8 [--steps 300] [--record]
"""

import argparse
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from bench.harness import record
from bench.markdown import table
from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.gradients import clipping, global_norm, gradients
from trainer.model.config import BytesConfig, ModelConfig, RopeConfig
from trainer.model.init import init_weights
from trainer.model.mmdit import MMDiT
from trainer.objective import ObjectiveSettings, Reading, global_loss, loss_counts, media_losses
from trainer.optim import Optimizer, OptimSettings
from trainer.packing import PackedBatch, pack
from trainer.parallel import ParallelSettings, World, parallelize, precision_context
from trainer.tasks import TASKS

CPU = torch.device("cpu")
CONFIG = ModelConfig(
    width=64,
    layers=3,
    heads=2,
    ffn=128,
    shared=True,
    video_channels=24,
    audio_channels=16,
    text_dim=16,
    bytes=BytesConfig(width=16, layers=1),
    rope=RopeConfig(axes=(12, 10, 10)),
)
GRID, AUDIO, TEXT, CLIPS = (4, 6, 8), 48, 8, 2
"""Video latents (T, H, W) and rows of audio and of each caption in a clip; clips in a step: 384 rows of video."""
LR, WARMUP, WINDOW, SETTLED = 2e-3, 20, 25, 50
"""Of a curve are compared the means over WINDOW steps, from step SETTLED on."""
READINGS = {
    medium: Reading("x", True, torch.ones(c), torch.ones(c))
    for medium, c in (("video", CONFIG.video_channels), ("audio", CONFIG.audio_channels))
}


@dataclass(frozen=True)
class Variant:
    """precision, float8: as in the settings. rounded: the initial weights are rounded to bfloat16. off: they are off by
    up to 2^-9 of themselves, each by a draw of this seed; 0: not."""

    precision: str = "bf16"
    float8: str = "none"
    rounded: bool = False
    off: int = 0


VARIANTS: Mapping[str, Variant] = {
    "bf16": Variant(),
    "fp32": Variant(precision="fp32"),
    "bf16, initial weights rounded": Variant(rounded=True),
    **{f"fp32, initial weights off, {seed}": Variant(precision="fp32", off=seed) for seed in (1, 2, 3)},
    "float8 tensorwise": Variant(float8="tensorwise"),
    "float8 rowwise": Variant(float8="rowwise"),
}


class Trained(NamedTuple):
    """Losses of every step, and seconds of all."""

    video: list[float]
    audio: list[float]
    seconds: float


def step_batch(step: int) -> PackedBatch:
    """Clips whose latents are smooth, of few directions, and known from their captions; fresh ones every step."""
    fixed = torch.Generator().manual_seed(0)
    bases = [torch.randn(TEXT, c, generator=fixed) for c in (CONFIG.video_channels, CONFIG.audio_channels)]
    documents = []
    for clip_number in range(CLIPS):
        g = torch.Generator().manual_seed(1 + CLIPS * step + clip_number)
        meaning = torch.randn(TEXT, CONFIG.text_dim, generator=g)
        places = torch.linspace(0, 3, GRID[0] * GRID[1] * GRID[2]), torch.linspace(0, 3, AUDIO)
        media = []
        for place, base, feature in zip(places, bases, meaning.T[:2], strict=True):
            waves = torch.sin(place[:, None] * (1 + torch.arange(TEXT)) + feature)
            media.append((waves * feature) @ base / TEXT**0.5)
        video, audio = media[0].reshape(*GRID, -1), media[1]
        speech = torch.empty(0, dtype=torch.uint8)
        sample = Sample(f"{step:032x}", "train", "sound", tuple(TASKS), video, audio, meaning, meaning, speech)
        noise = [torch.randn(x.shape, generator=g) for x in (video, audio)]
        sigma = torch.rand((), generator=g).item()
        documents.append(Document(sample, TASKS["T2AV"], Conditions(sigma, sigma, *noise)))
    return pack(documents, CONFIG, multiple=16)


def train(variant: Variant, steps: int) -> Trained:
    """Train from the same start on the same steps."""
    model = MMDiT(CONFIG)
    init_weights(model, 0)
    generator = torch.Generator().manual_seed(variant.off)
    for p in model.parameters():
        if variant.rounded:
            p.data.copy_(p.data.bfloat16())
        if variant.off:
            p.data.mul_(1 + 2.0**-9 * torch.empty_like(p.data).uniform_(-1, 1, generator=generator))
    settings = ParallelSettings(float8=variant.float8, float8_rows=1)
    parallelize(model, World(0, 1, CPU), settings, variant.precision)
    optimizer, never = Optimizer(model, OptimSettings()), torch.zeros(())
    losses: list[torch.Tensor] = []
    began = time.perf_counter()
    for step in range(steps):
        batch = step_batch(step)
        with precision_context(variant.precision, CPU):
            output = model(batch.packed)
        rows, counts = media_losses(output, batch, READINGS), loss_counts(batch)
        global_loss(rows, counts, ObjectiveSettings()).backward()
        grads = gradients(model.parameters())
        optimizer.step(LR * min(1.0, (step + 1) / WARMUP), never, clipping(global_norm(grads), 1.0))
        losses.append(torch.stack([rows.video.sum(), rows.audio.sum()]).detach() / counts)
    video, audio = torch.stack(losses).T.tolist()
    return Trained(video, audio, time.perf_counter() - began)


def smooth(losses: Sequence[float]) -> torch.Tensor:
    """Means over WINDOW steps, at every step from SETTLED on."""
    return torch.tensor(losses)[SETTLED:].unfold(0, WINDOW, 1).mean(-1)


def furthest(losses: Sequence[float], reference: Sequence[float]) -> float:
    """Largest relative difference of two smoothed curves."""
    a, b = smooth(losses), smooth(reference)
    return ((a - b) / b).abs().max().item()


def ended(losses: Sequence[float]) -> float:
    """Mean loss of the last SETTLED steps."""
    return statistics.fmean(losses[-SETTLED:])


def rows_of(found: Mapping[str, Trained]) -> list[list[object]]:
    """A line a variant: where its curves end, and how far they are from those of bf16."""
    reference, lines = found["bf16"], []
    for name, run in found.items():
        line: list[object] = [name]
        for mine, theirs in ((run.video, reference.video), (run.audio, reference.audio)):
            line += [f"{ended(mine):.4f}", f"{ended(mine) / ended(theirs) - 1:+.2%}", f"{furthest(mine, theirs):.2%}"]
        lines.append([*line, f"{run.seconds:.0f}"])
    return lines


def main() -> None:
    """All variants, one table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--record", action="store_true", help="append the table to bench/RESULTS.md")
    given = parser.parse_args()
    if given.steps < SETTLED + WINDOW:
        parser.error(
            f"--steps {given.steps}: curves are compared from step {SETTLED} on, so at least {SETTLED + WINDOW}"
        )
    torch.set_num_threads(1)
    found = {}
    for name, variant in VARIANTS.items():
        found[name] = train(variant, given.steps)
        print(f"{name}: {found[name].seconds:.0f} s", flush=True)
    first, rows = found["bf16"], GRID[0] * GRID[1] * GRID[2] * CLIPS
    each = [f"{medium}: {what}" for medium in ("video", "audio") for what in ("last 50", "of bf16", "furthest")]
    text = (
        f"{CONFIG.layers} shared layers of width {CONFIG.width}, all their linears in float8; {given.steps} steps of "
        f"{rows} rows of video, AdamW at {LR:g}. Losses of bf16 begin at {statistics.fmean(first.video[:5]):.3f} "
        f"(video) and {statistics.fmean(first.audio[:5]):.3f} (audio). Furthest: of means over {WINDOW} steps, from "
        f"step {SETTLED} on.\n\n"
    )
    text += table(["variant", *each, "s"], rows_of(found))
    record(
        f"loss of float8 against bf16 (`python -m bench.float8`), CPU, torch {torch.__version__}", text, given.record
    )


if __name__ == "__main__":
    main()
