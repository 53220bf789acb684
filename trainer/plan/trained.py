"""How many parameters train, and what the optimizer keeps of each: what LoRA and Muon change in a plan."""

from collections import Counter
from functools import lru_cache
from math import ceil

from manifests.errors import ConfigError
from trainer.lora import LoraSettings
from trainer.model.config import ModelConfig
from trainer.model.count import count_parameters, itemised
from trainer.model.layout import STREAMS
from trainer.muon import ITERATIONS, MATRICES
from trainer.settings import TrainSettings

counted = lru_cache(maxsize=8)(itemised)
"""Parameters by item; building the model on the meta device takes a second, and a plan asks often."""

counted_parts = lru_cache(maxsize=8)(count_parameters)
"""Parameters by part, and their total."""


def linears(config: ModelConfig) -> dict[str, tuple[int, int]]:
    """(rows, columns) of the matrices of one stream in one block, by name."""
    d, f = config.width, config.ffn
    return {"qkv": (3 * d, d), "out": (d, d), "ffn_in": (f, d), "ffn_out": (d, f)}


def copies(config: ModelConfig) -> int:
    """How often the model has each of them: in every block, for every stream that has weights of its own."""
    return config.layers * (1 if config.shared else len(STREAMS))


def adapters(config: ModelConfig, lora: LoraSettings | None) -> int:
    """Parameters of LoRA's adapters: rank x (rows + columns) of each target."""
    if lora is None:
        return 0
    sizes = linears(config)
    return copies(config) * lora.rank * sum(sum(sizes[target]) for target in set(lora.targets))


def trained(settings: TrainSettings) -> int:
    """Parameters with gradients, averages and state of an optimizer: with LoRA the adapters, and heads if asked for."""
    counts, lora = counted(settings.model), settings.lora
    if lora is None:
        return sum(counts.values())
    return adapters(settings.model, lora) + (counts["heads"] if lora.heads else 0)


def momenta(settings: TrainSettings) -> int:
    """Of those, the ones in matrices that Muon moves: one float32 momentum each, in place of AdamW's two moments.

    Raises ConfigError `optim:muon` where train does: with LoRA no whole matrix of a block trains.
    """
    if settings.optim.kind != "muon":
        return 0
    if settings.lora is not None:
        raise ConfigError("optim:muon", "optim.kind = 'muon', but no whole matrix of a block trains: set adamw")
    return copies(settings.model) * sum(rows * columns for rows, columns in linears(settings.model).values())


def newton_schulz_flops(config: ModelConfig, shards: int) -> int:
    """Of one update on one process: matrices of one shape are worked on `shards` at a time, each whole on one."""
    alike: Counter[tuple[int, int, int]] = Counter()
    for name, (rows, columns) in linears(config).items():
        parts = MATRICES[f".{name}.weight"]
        alike[rows // parts, columns, parts] += copies(config)
    total = 0
    for (rows, columns, parts), count in alike.items():
        less, more = sorted((rows, columns))
        # X X^T and its product with X, 2 less^2 more each; the square of X X^T, 2 less^3.
        total += ceil(count / shards) * parts * ITERATIONS * (4 * less**2 * more + 2 * less**3)
    return total
