"""Where the parameters are: an itemised count that needs no memory (build the model on the meta device)."""

from collections import Counter

import torch

from trainer.model.config import ModelConfig
from trainer.model.mmdit import MMDiT

_PARTS = {"qkv": "attention", "out": "attention", "norm_qk": "attention", "ffn_in": "ffn", "ffn_out": "ffn"}


def count_parameters(config: ModelConfig) -> dict[str, int]:
    """Parameters by part: `blocks`, `sigma`, `video`, `video_text`, `audio_text`, `audio`, `heads`; and `total`."""
    counts = itemised(config)
    parts: Counter[str] = Counter()
    for name, count in counts.items():
        parts[name.partition("/")[0]] += count
    return {**dict(parts), "total": sum(counts.values())}


def itemised(config: ModelConfig) -> dict[str, int]:
    """As `count_parameters`, the blocks split: `blocks/attention/<stream>`, and so on for `ffn` and `modulation`."""
    with torch.device("meta"):
        model = MMDiT(config)
    parts: Counter[str] = Counter()
    for name, parameter in model.named_parameters():
        parts[_item(name)] += parameter.numel()
    return dict(parts)


def _item(name: str) -> str:
    pieces = name.split(".")
    if pieces[0] != "blocks":
        return pieces[0]
    if pieces[2] == "modulation":
        return f"blocks/modulation/{pieces[3]}"
    return f"blocks/{_PARTS[pieces[4]]}/{pieces[3]}"
