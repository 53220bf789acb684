"""The literal width of `klear_26b`, weights of each stream, with as many layers as one card trains."""

from bench.markdown import table
from bench.step.bench import Bench
from bench.step.clocks import Clocks
from bench.step.ours import our_steps
from bench.step.planned import predicted
from bench.step.profile import budget_of
from bench.step.report import Part
from bench.step.sizes import made_up_batch
from bench.step.tables import HEAD, budget_table, step_row
from bench.step.turns import in_turn
from bench.step.variants import VARIANTS
from trainer.flops import batch_load, training_flops
from trainer.model.config import ModelConfig
from trainer.plan.clip import Clip
from trainer.settings import load_train_settings

CUTS = {"480p": (4, Clip(848, 480, 5.0)), "720p": (2, Clip(1280, 720, 5.0))}
"""Layers, and the clip. By the codecs' geometry 16 video latents (3 a second) of 30 x 53 or 45 x 80 cells of 16 pixels
and 217 of sound (43.07 a second); with captions of 512 tokens and 76 rows of transcript 26,757 and 58,917 tokens."""


def wide(bench: Bench, name: str, kind: str) -> Part:
    """One of `CUTS`, in bf16 (as FSDP gathers its weights), AdamW included. kind: the variant that runs."""
    layers, clip = (1, Clip(64, 48, 1.0, text=8)) if bench.small else CUTS[name]
    config = _tiny() if bench.small else _preset(layers)
    batch = made_up_batch(config, clip.info())
    model = our_steps(config, batch, bench.device, VARIANTS[kind])
    load = batch_load(batch.packed)
    with Clocks() as clocks:
        turn = in_turn({name: model.step}, bench.rounds, bench.each(load.tokens), bench.device)[name]
        told = clocks.during(turn.spans)
    flops = sum(training_flops(load, config).values())
    title = f"klear_26b, {layers} layers, {name}, {kind}"
    text = table(HEAD, [step_row(load.tokens, flops, title, model, turn, told)])
    text += f"\n\nRows: {', '.join(map(str, load.rows))} (video, its text, audio's text, audio)."
    plan = predicted(config, load, bench.gpu, model.optimizer_bytes) if bench.gpu else None
    if plan:
        text += f" The planner says {plan['step'] * 1e3:.1f} ms, {plan['step'] / turn.median - 1:+.1%}."
    text += "\n\n" + budget_table({title: budget_of(model.step, bench.device)}, {})
    return Part(text, {"tokens": load.tokens, "flops": flops, "ms": turn.median * 1e3, "clocks": told, "plan": plan})


def _preset(layers: int) -> ModelConfig:
    return load_train_settings("klear_26b", [f"model.layers={layers}"]).model


def _tiny() -> ModelConfig:
    sizes = ["layers=1", "width=64", "heads=2", "ffn=64", "text_dim=16", "bytes={width: 16}", "rope={axes: [10,10,10]}"]
    return load_train_settings("klear_26b", [f"model.{size}" for size in sizes]).model
