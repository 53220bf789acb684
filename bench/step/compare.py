"""One variant of our model and the peer, taking turns: the step as a budget, each part against its ceiling."""

from collections.abc import Mapping
from typing import Any

from bench.markdown import table
from bench.step import peer as peers
from bench.step.bench import Bench
from bench.step.ceilings import Ceilings, measure
from bench.step.clocks import Clocks
from bench.step.floor import floor_of
from bench.step.ours import our_steps
from bench.step.planned import predicted
from bench.step.profile import budget_of
from bench.step.report import Part
from bench.step.running import Running
from bench.step.tables import HEAD, budget_table, step_row
from bench.step.turns import WARM_UP, in_turn
from bench.step.variants import VARIANTS
from trainer.flops import batch_load, training_flops
from trainer.plan.trained import linears


def ceilings_at(bench: Bench, tokens: int) -> tuple[Part, Ceilings]:
    """What the card sustains at this length."""
    batch, config = bench.batch(tokens), bench.sizes.ours()
    lengths = batch.packed.document_lengths
    with Clocks() as clocks:
        found = measure(config, sum(lengths), lengths, bench.device)
        told = clocks.during([(0.0, float("inf"))])
    kinds = {"bf16": found.gemm, "float8": found.float8}
    rows = [
        [kind, name, *(f"{2 * found.rows * a * b / of[name, one] / 1e12:.0f}" for one in ("forward", "dX", "dW"))]
        for kind, of in kinds.items()
        if of
        for name, (a, b) in linears(config).items()
    ]
    rates = {kind: found.rate(of) / 1e12 for kind, of in kinds.items() if of}
    ahead, both = (rate / 1e12 for rate in found.attention_rates)
    text = table(["products, TFLOP/s", "matrix", "forward", "dX", "dW"], rows)
    text += f"\n\nOver all of a block: {', '.join(f'{kind} {rate:.0f} TFLOP/s' for kind, rate in rates.items())}. "
    text += f"Attention: forward {ahead:.0f}, both passes {both:.0f} TFLOP/s (4 and 14 S^2 d). "
    text += f"Copy: {found.copy / 1e12:.2f} TB/s. {told}."
    values = {"tokens": found.rows, "products": rates, "attention": [ahead, both], "copy": found.copy, "clocks": told}
    return Part(text, values), found


def warm_peer(bench: Bench, tokens: int) -> Running:
    """The peer, compiled."""
    found = peers.peer_steps(bench.sizes, bench.batch(tokens), bench.device)
    for _ in range(WARM_UP):
        found.step()
    return found


def compare(
    bench: Bench, tokens: int, name: str, peer: Running | None, ceilings: Ceilings | None, profiled: bool
) -> Part:
    """The variant of this name beside the peer. profiled: the peer's budget too."""
    variant, batch, config = VARIANTS[name], bench.batch(tokens), bench.sizes.ours()
    ours = our_steps(config, batch, bench.device, variant)
    running = {f"klear, {name}": ours} | ({peers.NAME: peer} if peer else {})
    with Clocks() as clocks:
        steps = {one: model.step for one, model in running.items()}
        turns = in_turn(steps, bench.rounds, bench.each(tokens), bench.device)
        told = {one: clocks.during(turn.spans) for one, turn in turns.items()}
    load = batch_load(batch.packed)
    flops = sum(training_flops(load, config).values())
    rows = [step_row(load.tokens, flops, one, running[one], turn, told[one]) for one, turn in turns.items()]
    floor = None
    if ceilings and not (variant.float8 and ceilings.float8 is None):
        floor = floor_of(ceilings, load, ours.optimizer_bytes, variant.float8)
    budgets = {one: budget_of(model.step, bench.device) for one, model in running.items() if model is ours or profiled}
    plan = predicted(config, load, bench.gpu, ours.optimizer_bytes, variant.float8) if bench.gpu else None
    ms = {one: turn.median * 1e3 for one, turn in turns.items()}
    text = "\n\n".join([table(HEAD, rows), budget_table(budgets, floor or {}), _words(ms, floor, plan)])
    values: dict[str, Any] = {"tokens": load.tokens, "flops": flops, "ms": ms, "clocks": told}
    values |= {"parameters": {one: model.parameters for one, model in running.items()}, "floor": floor, "plan": plan}
    values["budgets"] = {one: budget._asdict() for one, budget in budgets.items()}
    return Part(text, values)


def _words(ms: Mapping[str, float], floor: Mapping[str, float] | None, plan: Mapping[str, float] | None) -> str:
    ours, *others = ms.values()
    words = [f"{others[0] / ours:.3f} times the peer's tokens/s."] if others else ["No peer to compare with."]
    if floor:
        words.append(f"{ours / floor['step'] / 1e3:.3f} times the floor.")
    if plan:
        words.append(f"The planner says {plan['step'] * 1e3:.1f} ms, {plan['step'] * 1e3 / ours - 1:+.1%}.")
    return " ".join(words)
