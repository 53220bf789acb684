"""Seconds of sampling with the presets of 26 B, from FLOPs and the rates that a smaller model was measured at."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from bench.generate_clips import Grid, pair_of
from bench.markdown import table
from bench.step.device import sustained
from trainer.documents import Document
from trainer.flops import Load, batch_load, forward_flops
from trainer.model.config import ModelConfig
from trainer.model.kernels import attend
from trainer.model.layout import Packed
from trainer.packing import pack
from trainer.sampling.passes import MOST_STEPS
from trainer.settings import load_train_settings

PRESETS = ("klear_26b", "klear_26b_wide")
STEPS = (8, 50)
ASSUMED = """Extrapolated; neither preset was run. The FLOPs of its layers and heads at the rates above; width 4096 and
other FFNs are taken to run at the rates of what was measured; AdaLN (bf16) is read once; captions and codecs are left
out. The field's mark for a clip of 5 s at 256p: 2.0 s, in 8 steps of a distilled model of 15 B, which are not guided;
ours are not distilled."""


def rates(config: ModelConfig, packed: Packed, step_s: float, device: torch.device) -> dict[str, float]:
    """FLOP/s of attention alone at these lengths, and of the products in the rest of a step; bytes/s of a copy."""
    shape = sum(packed.document_lengths), config.heads, config.head_dim
    q, k, v = (torch.randn(shape, device=device, dtype=torch.bfloat16) for _ in range(3))
    segments = packed.segments()
    attention = config.layers * sustained(lambda: attend(q, k, v, segments, "cudnn"), device, 0.5)
    flops = forward_flops(batch_load(packed), config)
    source, target = (torch.randn(2**29, device=device, dtype=torch.bfloat16) for _ in range(2))
    return {
        "attention": flops["attention"] / attention,
        "rest": _rest(flops) / (step_s - attention),
        "copy": 2 * source.nbytes / sustained(lambda: target.copy_(source), device, 0.5),
    }


def seconds(documents: Sequence[Document], config: ModelConfig, steps: int, rate: Mapping[str, float]) -> float:
    """Of a sampling of these documents at such rates."""
    flops = forward_flops(batch_load(pack(documents, config).packed), config)
    step = flops["attention"] / rate["attention"] + _rest(flops) / rate["rest"]
    weights = forward_flops(Load(groups=1), config)["modulation"] / 2
    return steps * step + -(-steps // MOST_STEPS) * 2 * weights / rate["copy"]


def preset_table(clips: Mapping[str, tuple[Grid, Mapping[str, float]]]) -> str:
    """clips: by name, its video tokens and the rates measured with it."""
    said = [
        f"{name}: attention {rate['attention'] / 1e12:.0f} TFLOP/s, other products over the rest of a step "
        f"{rate['rest'] / 1e12:.0f} TFLOP/s, copy {rate['copy'] / 1e12:.2f} TB/s."
        for name, (_, rate) in clips.items()
    ]
    lines: list[list[Any]] = []
    for preset in PRESETS:
        config = load_train_settings(preset).model
        for name, (grid, rate) in clips.items():
            pair = pair_of(config, grid)
            for guided, documents in (("yes", pair), ("no", pair[:1])):
                times = [f"{seconds(documents, config, steps, rate):.2f}" for steps in STEPS]
                lines.append([preset, name, guided, *times])
    head = ["preset", "clip", "guided", *(f"s of {steps} steps" for steps in STEPS)]
    return "\n".join(said) + f"\n\n{ASSUMED}\n\n" + table(head, lines)


def _rest(flops: Mapping[str, int]) -> int:
    return sum(flops[part] for part in ("projections", "ffn", "heads"))
