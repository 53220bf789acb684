"""What it costs that each stream has weights of its own."""

from bench.markdown import table
from bench.step.bench import Bench
from bench.step.ours import our_steps
from bench.step.profile import budget_of
from bench.step.report import Part
from bench.step.tables import budget_table
from bench.step.turns import in_turn
from bench.step.variants import VARIANTS
from trainer.flops import batch_load


def streams_apart(bench: Bench, tokens: int) -> Part:
    """Weights of each stream against shared ones at equal tokens, without an optimizer."""
    batch = bench.batch(tokens)
    models = {
        name: our_steps(bench.sizes.ours(shared), batch, bench.device, VARIANTS["bf16"], update=False)
        for name, shared in (("shared", True), ("four streams", False))
    }
    turns = in_turn({name: m.step for name, m in models.items()}, bench.rounds, bench.each(tokens), bench.device)
    load = batch_load(batch.packed)
    ms = {name: turn.median * 1e3 for name, turn in turns.items()}
    rows = [
        [f"{load.tokens:,}", name, f"{models[name].parameters / 1e9:.2f}", f"{ms[name]:.1f} ({turn.spread * 1e3:.1f})"]
        for name, turn in turns.items()
    ]
    more = ms["four streams"] / ms["shared"] - 1
    text = table(["tokens", "weights", "B parameters", "ms forward and backward (spread)"], rows)
    budgets = {name: budget_of(model.step, bench.device) for name, model in models.items()}
    text += f"\n\n{budget_table(budgets, {})}\n\nWeights of each stream take {more:+.1%}."
    return Part(text, {"tokens": load.tokens, "ms": ms, "more": more})
