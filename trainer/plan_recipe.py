"""How a run is laid out over GPUs: what the planner varies, and the settings that say so."""

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple

from manifests.errors import ConfigError
from trainer.settings import TrainSettings


@dataclass(frozen=True)
class Recipe:
    """gpus: all of them. shard: GPUs that share one copy of the weights. context: GPUs that share a micro-batch.

    rows: AdaLN weights are never gathered. recompute: see `trainer/recompute.py`. bf16: precision. moment_bytes: of
    each of AdamW's two moments. micro_tokens: most tokens of a micro-batch, on `context` GPUs together.
    """

    gpus: int
    shard: int
    context: int
    rows: bool
    recompute: Literal["none", "selective", "full"]
    bf16: bool
    moment_bytes: int
    micro_tokens: int

    @property
    def replicas(self) -> int:
        """Copies of the weights."""
        return self.gpus // self.shard

    @property
    def data_size(self) -> int:
        """Micro-batches that run at the same time."""
        return self.gpus // self.context


@dataclass(frozen=True)
class Change:
    """A change of the recipe and the settings that make it, for `--set` (or `--gpus N`)."""

    setting: str
    recipe: Recipe


def recipe_of(settings: TrainSettings, gpus: int, document: int) -> Recipe:
    """What the settings ask for on this many GPUs. document: tokens of the largest sample, which goes in one piece.

    Raises ConfigError where numbers do not divide.
    """
    p = settings.parallel
    shard = p.shard or gpus
    for name, value in (("shard", shard), ("context", p.context)):
        if gpus % value:
            raise ConfigError(f"config:{name}", f"parallel.{name} = {value} does not divide --gpus {gpus}")
    model = settings.model
    able = model.modulation_rank is None and 6 * model.width % shard == 0
    return Recipe(
        gpus=gpus,
        shard=shard,
        context=p.context,
        rows=able and p.modulation != "gather" and gpus > 1,
        recompute=p.recompute,
        bf16=settings.precision == "bf16",
        moment_bytes=2 if settings.optim.state_dtype == "bf16" else 4,
        micro_tokens=max(settings.batch.micro_tokens or document, document),
    )


class Option(NamedTuple):
    """One change. price: how much it slows a step down, roughly: what is cheaper together comes first."""

    price: float
    setting: str
    fields: dict[str, object]


def changes(recipe: Recipe, heads: int, document: int) -> list[tuple[Change, ...]]:
    """Changes that save memory, one or several together, the cheapest first.

    Sharding over more GPUs and half-size moments cost no arithmetic. Making elementwise work again, smaller
    micro-batches (weights travel more often), making everything again, and context parallelism cost more and more.
    """
    kinds = [[None, *options] for options in _kinds(recipe, heads, document)]
    chosen = [tuple(option for option in options if option) for options in product(*kinds)]
    chosen.sort(key=lambda options: (sum(option.price for option in options), len(options)))
    return [_applied(recipe, options) for options in chosen if options]


def _kinds(recipe: Recipe, heads: int, document: int) -> list[list[Option]]:
    shards = [s for s in sorted({16, recipe.gpus}) if s > recipe.shard and recipe.gpus % s == 0]
    contexts = [c for c in (2, 4, 8) if c > recipe.context and recipe.gpus % c == 0 and heads % c == 0]
    prices = {"selective": 1.5, "full": 3.0}
    kept = {"none": ["selective", "full"], "selective": ["full"], "full": []}[recipe.recompute]
    smaller = -(-document // 1024) * 1024
    return [
        [Option(0.9, f"parallel.shard={s}", {"shard": s}) for s in shards],
        [Option(1, "optim.state_dtype=bf16", {"moment_bytes": 2})] if recipe.moment_bytes > 2 else [],
        [Option(prices[kind], f"parallel.recompute={kind}", {"recompute": kind}) for kind in kept],
        [Option(3.5 + c / 4, f"parallel.context={c}", {"context": c}) for c in contexts],
        [Option(2, f"batch.micro_tokens={smaller}", {"micro_tokens": smaller})]
        if smaller < recipe.micro_tokens
        else [],
    ]


def _applied(recipe: Recipe, options: tuple[Option, ...]) -> tuple[Change, ...]:
    made = []
    for option in options:
        recipe = replace(recipe, **option.fields)  # type: ignore[arg-type]
        made.append(Change(option.setting, recipe))
    return tuple(made)
