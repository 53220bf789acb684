"""The lines of the tables: a step, and where its time goes."""

from collections.abc import Mapping

from bench.markdown import table
from bench.step.bench import PEAK
from bench.step.kinds import KINDS
from bench.step.profile import Budget
from bench.step.running import Running
from bench.step.turns import Turns

HEAD = ("tokens", "model", "B parameters", "ms a step (spread)", "tokens/s", "MFU", "clock, power")


def step_row(tokens: int, flops: int, name: str, model: Running, turn: Turns, clocks: str) -> list[str]:
    """A line under `HEAD`. flops: of a step, as MFU counts them."""
    return [
        f"{tokens:,}",
        name,
        f"{model.parameters / 1e9:.2f}",
        f"{turn.median * 1e3:.1f} ({turn.spread * 1e3:.1f})",
        f"{tokens / turn.median:,.0f}",
        f"{flops / turn.median / PEAK:.1%}",
        clocks,
    ]


def budget_table(budgets: Mapping[str, Budget], floor: Mapping[str, float]) -> str:
    """Milliseconds by kind of kernel, the floor (seconds by kind, or nothing) beside them."""
    rows = [[kind, *(_ms(b.kinds[kind]) for b in budgets.values()), _ms(floor.get(kind))] for kind in KINDS]
    rows.append(["no kernel", *(_ms(b.idle) for b in budgets.values()), "-"])
    rows.append(["profiled step", *(_ms(b.wall) for b in budgets.values()), _ms(floor.get("step"))])
    unknown = [f"`{name}` {_ms(seconds)} ms" for b in budgets.values() for name, seconds in b.other.items()]
    text = table(["ms", *budgets, "floor"], rows)
    return f"{text}\n\nOther: {', '.join(unknown)}." if unknown else text


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.1f}"
