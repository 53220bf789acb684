"""WavLM and the four heads of audiobox-aesthetics (Tjandra 2025), out of Meta's own checkpoint, by its own names.

WavLM-base+ is transformers'; the checkpoint names its tensors as WavLM's authors did. Each axis has its own weights
over the 13 layers, whose mix is averaged over the frames that hold sound, scaled to unit length, and read by an MLP.
Sizes are those of the tensors; what tensors do not tell (strides of the convolutions, buckets' reach) is WavLM's.
"""

import re
from collections.abc import Mapping
from itertools import count, pairwise, takewhile
from typing import Any

import torch
from torch import nn
from transformers import WavLMConfig, WavLMModel

from filters.checkpoint import below
from manifests.errors import ConfigError

AXES = ("PQ", "PC", "CE", "CU")
FIELDS = ("state_dict", "model_cfg", "target_transform")
"""What the checkpoint holds: weights, how the heads are built, and the mean and spread of the ratings of each axis."""
ENCODER = "wavlm_model"
_NAMES = (
    (r"^layer_norm\.", "feature_projection.layer_norm."),
    (r"^post_extract_proj\.", "feature_projection.projection."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.0\.", r"\1.conv."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.2\.", r"\1.layer_norm."),
    (r"pos_conv\.0\.weight_g$", "pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"pos_conv\.0\.weight_v$", "pos_conv_embed.conv.parametrizations.weight.original1"),
    (r"pos_conv\.0\.bias$", "pos_conv_embed.conv.bias"),
    (r"self_attn_layer_norm", "layer_norm"),
    (r"self_attn\.grep_linear", "attention.gru_rel_pos_linear"),
    (r"self_attn\.grep_a", "attention.gru_rel_pos_const"),
    (r"self_attn\.relative_attention_bias", "attention.rel_attn_embed"),
    (r"self_attn\.", "attention."),
    (r"fc1\.", "feed_forward.intermediate_dense."),
    (r"fc2\.", "feed_forward.output_dense."),
)
"""What WavLM's authors call it, and what transformers does."""


class Encoder(WavLMModel):
    """WavLM, padded as its authors do: a frame counts as sound when one of its own 320 samples is."""

    def _get_feature_vector_attention_mask(self, frames: int, samples: torch.Tensor, add_adapter: Any = None) -> Any:
        whole = samples[:, : samples.shape[1] - samples.shape[1] % frames]
        self.sounding = whole.view(len(samples), frames, -1).any(-1)
        return self.sounding


class Head(nn.Module):
    """Rating of one axis, in units of its spread: (batch,) from the layers (layers, batch, frames, width).

    As many linear layers as there are, with GELU between them, and a layer norm before it where one was trained.
    """

    def __init__(self, state: Mapping[str, torch.Tensor], mix: torch.Tensor, unit: bool) -> None:
        super().__init__()
        self.mix, self.unit = nn.Parameter(mix.clone()), unit
        self.layers = nn.ModuleList()
        for number in sorted({int(name.partition(".")[0]) for name in state}):
            weight, bias = state[f"{number}.weight"], state[f"{number}.bias"]
            made = nn.Linear(weight.shape[1], weight.shape[0]) if weight.ndim == 2 else nn.LayerNorm(len(weight))
            made.load_state_dict({"weight": weight, "bias": bias})
            self.layers.append(made)

    def forward(self, layers: torch.Tensor, sounding: torch.Tensor) -> torch.Tensor:
        """sounding: (batch, frames) bool."""
        mixed = torch.einsum("lbtc,l->btc", layers, self.mix.softmax(0))
        weights = sounding[..., None].to(mixed)
        x = (mixed * weights).sum(1) / weights.sum(1).clamp(min=1)
        x = nn.functional.normalize(x, dim=-1) if self.unit else x
        for layer, following in pairwise([*self.layers, None]):
            x = layer(x)
            if isinstance(following, nn.Linear):
                x = nn.functional.gelu(x)
        return x.squeeze(-1)


class Aesthetics(nn.Module):
    """All four axes: (batch, 4) in the order of `AXES`, on the scale of the ratings, 1 to 10."""

    def __init__(self, encoder: Encoder, heads: Mapping[str, Head], scale: Mapping[str, Mapping[str, float]]) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, nn.ModuleDict(heads)
        self.used = len(heads[AXES[0]].mix)
        self.scale = [(float(scale[axis]["mean"]), float(scale[axis]["std"])) for axis in AXES]

    @torch.inference_mode()
    def forward(self, sound: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
        """sound: (batch, samples) at 16 kHz, padded with zeros; heard: the same in bool, false where it is padding."""
        found = self.encoder(sound, attention_mask=heard, output_hidden_states=True).hidden_states
        layers = torch.stack(found[: self.used])
        rated = [self.heads[axis](layers, self.encoder.sounding).double() for axis in AXES]
        return torch.stack([x * spread + mean for x, (mean, spread) in zip(rated, self.scale)], dim=-1)


def load(found: Mapping[str, Any]) -> Aesthetics:
    """The model in eval mode, from what the file holds (`FIELDS`). Raises ConfigError model:checkpoint."""
    lacking = [name for name in FIELDS if not isinstance(found.get(name), Mapping)]
    if lacking:
        raise ConfigError("model:checkpoint", f"no audiobox-aesthetics checkpoint: it has no {', '.join(lacking)}")
    settings = found["model_cfg"]
    state = {name.removeprefix("model."): value for name, value in found["state_dict"].items()}
    if not settings.get("use_weighted_layer_sum", True) or settings.get("proj_act_fn", "gelu") != "gelu":
        raise ConfigError("model:checkpoint", "heads without weights over the layers, or without GELU, are not known")
    try:
        heads = {
            axis: Head(below(state, f"proj_layer.{axis}"), state[f"layer_weights.{axis}"], settings["normalize_embed"])
            for axis in AXES
        }
        return Aesthetics(_encoder(below(state, ENCODER)), heads, found["target_transform"]).eval()
    except (KeyError, RuntimeError) as error:
        raise ConfigError("model:checkpoint", f"no audiobox-aesthetics checkpoint: {error}") from None


def _encoder(state: Mapping[str, torch.Tensor]) -> Encoder:
    made = Encoder(_config(state))
    given = {_renamed(name): value for name, value in state.items() if name != "mask_emb"}  # only training masks
    made.load_state_dict(given)
    return made


def _renamed(name: str) -> str:
    for theirs, ours in _NAMES:
        name = re.sub(theirs, ours, name)
    return name


def _config(state: Mapping[str, torch.Tensor]) -> WavLMConfig:
    convolutions = [
        state[name]
        for name in takewhile(state.__contains__, (f"feature_extractor.conv_layers.{i}.0.weight" for i in count()))
    ]
    width, kernel = len(state["post_extract_proj.bias"]), state["encoder.pos_conv.0.weight_g"].shape[-1]
    buckets, heads = state["encoder.layers.0.self_attn.relative_attention_bias.weight"].shape
    return WavLMConfig(
        hidden_size=width,
        num_hidden_layers=1 + max(int(name.split(".")[2]) for name in state if name.startswith("encoder.layers.")),
        num_attention_heads=heads,
        intermediate_size=len(state["encoder.layers.0.fc1.bias"]),
        conv_dim=[len(weight) for weight in convolutions],
        conv_kernel=[weight.shape[-1] for weight in convolutions],
        conv_stride=[5] + [2] * (len(convolutions) - 1),
        num_conv_pos_embeddings=kernel,
        num_conv_pos_embedding_groups=width // state["encoder.pos_conv.0.weight_v"].shape[1],
        num_buckets=buckets,
        mask_time_prob=0.0,
        apply_spec_augment=False,
    )
