"""What it costs that each stream has weights of its own."""

from collections.abc import Mapping

from bench.markdown import table
from bench.step.bench import Bench
from bench.step.ours import our_steps
from bench.step.profile import budget_of
from bench.step.report import Part
from bench.step.tables import budget_table
from bench.step.turns import in_turn
from bench.step.variants import VARIANTS, Variant
from trainer.flops import batch_load

GROUPED = Variant({"elementwise": "triton", "products": "grouped"})

WAYS: Mapping[str, Mapping[str, tuple[bool, Variant]]] = {
    kind: {"shared": (True, VARIANTS[kind]), "four streams": (False, VARIANTS[kind])} for kind in ("bf16", "triton")
}
"""By variant: whether weights are shared, and how it runs."""


def streams_apart(bench: Bench, tokens: int, kind: str) -> Part:
    """Weights of each stream against shared ones at equal tokens, without an optimizer; with `triton` also those of
    the streams with few rows in one launch."""
    batch, ways = bench.batch(tokens), dict(WAYS[kind])
    if kind == "triton":
        ways["four streams, grouped"] = (False, GROUPED)
    models = {
        name: our_steps(bench.sizes.ours(shared), batch, bench.device, variant, update=False)
        for name, (shared, variant) in ways.items()
    }
    turns = in_turn({name: m.step for name, m in models.items()}, bench.rounds, bench.each(tokens), bench.device)
    load = batch_load(batch.packed)
    ms = {name: turn.median * 1e3 for name, turn in turns.items()}
    more = {name: ms[name] / ms["shared"] - 1 for name in models}
    rows = [
        [f"{load.tokens:,}", name, f"{models[name].parameters / 1e9:.2f}", f"{ms[name]:.1f} ({turn.spread * 1e3:.1f})",
         f"{more[name]:+.1%}"]
        for name, turn in turns.items()
    ]  # fmt: skip
    text = table(["tokens", "weights", "B parameters", "ms forward and backward (spread)", "more than shared"], rows)
    budgets = {name: budget_of(model.step, bench.device) for name, model in models.items()}
    text += f"\n\n{budget_table(budgets, {})}"
    return Part(text, {"tokens": load.tokens, "ms": ms, "more": more})
