"""Where the parameters are: an itemised count that needs no memory (build the model on the meta device)."""

from collections import Counter

import torch

from trainer.model.config import ModelConfig
from trainer.model.mmdit import MMDiT


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters by part (`blocks`, `sigma`, `video`, ...) and `total`."""
    with torch.device("meta"):
        model = MMDiT(config)
    parts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        parts[name.partition(".")[0]] += parameter.numel()
    return {**dict(parts), "total": sum(parts.values())}
