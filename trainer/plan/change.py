"""Changes of the settings that save memory, the cheapest first, each of which `train` accepts."""

from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from manifests.errors import ConfigError
from pipeline.settings import with_sets
from trainer.plan.layout import Layout, layout_of
from trainer.settings import TrainSettings, as_plain


class Change(NamedTuple):
    """words: for --set, or `--gpus N`. settings, layout: what they lead to."""

    words: tuple[str, ...]
    settings: TrainSettings
    layout: Layout


class Option(NamedTuple):
    """One change. price: how much it slows a step down, roughly: what is cheaper together comes first."""

    price: float
    setting: str


def candidates(settings: TrainSettings, gpus: int, document: int) -> Iterator[Change]:
    """What could be tried, more GPUs only after all else. document: tokens of the largest sample.

    Sharding over more GPUs and half-size moments cost no arithmetic. Making elementwise work again, smaller
    micro-batches (weights travel more often), making everything again, and context parallelism cost more and more.
    """
    for factor in (1, 2, 4, 8, 16, 32, 64, 128):
        count = gpus * factor
        more = (f"--gpus {count}",) if factor > 1 else ()
        for sets in _sets(settings, count, document):
            change = _changed(settings, count, document, more, sets)
            if change is not None:
                yield change


def _changed(
    settings: TrainSettings, gpus: int, document: int, more: tuple[str, ...], sets: tuple[str, ...]
) -> Change | None:
    """None when `train` would refuse it."""
    if not more and not sets:
        return None
    try:
        changed = with_sets(TrainSettings, dict(as_plain(settings)), sets) if sets else settings
        return Change((*more, *sets), changed, layout_of(changed, gpus, document))
    except ConfigError:
        return None


def _sets(settings: TrainSettings, gpus: int, document: int) -> list[tuple[str, ...]]:
    """One or several settings together, none first."""
    kinds = [[None, *options] for options in _kinds(settings, gpus, document)]
    chosen = [tuple(option for option in options if option) for options in product(*kinds)]
    chosen.sort(key=lambda options: (sum(option.price for option in options), len(options)))
    return [tuple(option.setting for option in options) for options in chosen]


def _kinds(settings: TrainSettings, gpus: int, document: int) -> list[list[Option]]:
    p, limit = settings.parallel, settings.batch.micro_tokens
    shards = [s for s in sorted({16, gpus}) if s > (p.shard or gpus) and gpus % s == 0]
    contexts = [c for c in (2, 4, 8) if c > p.context]
    prices = {"none": 0.0, "selective": 1.5, "attention": 2.6, "full": 3.0}
    kept = [kind for kind, price in prices.items() if price > prices[p.recompute]]
    smaller = -(-document // 1024) * 1024
    return [
        [Option(0.9, f"parallel.shard={s}") for s in shards],
        [Option(1, "optim.state_dtype=bf16")] if settings.optim.state_dtype == "fp32" else [],
        [Option(prices[kind], f"parallel.recompute={kind}") for kind in kept],
        [Option(3.5 + c / 4, f"parallel.context={c}") for c in contexts],
        [Option(2, f"batch.micro_tokens={smaller}")] if limit is None or smaller < limit else [],
    ]
