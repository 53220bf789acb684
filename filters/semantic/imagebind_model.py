"""ImageBind (Girdhar 2023): pictures, sounds and texts in one space. The code is our own; the weights CC-BY-NC-SA 4.0.

Reads the authors' bare state dict by its own names and shapes, strictly: the towers of depth, thermal images and
inertial sensors are declared for that, and let go afterwards.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.semantic import imagebind_parts as parts
from manifests.errors import ConfigError

KEPT = ("vision", "text", "audio")
_NAMES = (*KEPT, "depth", "thermal", "imu")
_GRIDS = {"vision": 256, "audio": 228, "depth": 196, "thermal": 196}


@dataclass(frozen=True)
class Heads:
    """Attention heads of the towers: the only sizes that the shapes of a state dict do not tell."""

    vision: int = 16
    text: int = 16
    audio: int = 12
    depth: int = 8
    thermal: int = 12
    imu: int = 8


class ImageBindModel(nn.Module):
    """Three towers that run, `vision`, `text` and `audio`; each ends in a vector of one length."""

    def __init__(self, state: Mapping[str, Tensor], heads: Heads = Heads()) -> None:
        """Empty parameters in the sizes of `state`. Raises ConfigError model:state when it is no ImageBind."""
        super().__init__()
        try:
            sizes = {name: _size(state, name) for name in _NAMES}
            words = state["modality_preprocessors.text.token_embedding.weight"].shape[0]
            out = state["modality_heads.vision.2.weight"].shape[0]
        except KeyError as error:
            raise ConfigError("model:state", f"this is no state dict of ImageBind: it has no {error}") from None
        dims = {name: dim for name, (dim, _) in sizes.items()}
        self.modality_preprocessors = nn.ModuleDict(_preprocessors(dims, words))
        self.modality_trunks = nn.ModuleDict({name: _trunk(name, *sizes[name], heads) for name in _NAMES})
        ends: dict[str, nn.Module] = {name: parts.head(dims[name], out) for name in _NAMES}
        ends |= {"text": parts.TextHead(dims["text"], out), "imu": parts.head(dims["imu"], out, gap=2)}
        self.modality_heads = nn.ModuleDict(ends)
        self.modality_postprocessors = parts.scaled(sizes)

    def tokens(self, name: str, inputs: Tensor) -> Tensor:
        """Tokens into the trunk, (b, tokens, dim), of inputs as `embed` takes them."""
        if name == "vision" and inputs.ndim == 4:
            inputs = inputs.unsqueeze(2).expand(-1, -1, 2, -1, -1)
        return self.modality_preprocessors[name](inputs)

    def trunk(self, name: str, tokens: Tensor) -> Tensor:
        """(b, tokens, dim) -> the same shape."""
        mask = self.modality_preprocessors["text"].mask if name == "text" else None
        return self.modality_trunks[name](tokens, mask)

    def head(self, name: str, tokens: Tensor, inputs: Tensor) -> Tensor:
        """The vector of the token that stands for all, (b, out): CLS, or the last of a text."""
        if name != "text":
            return self.modality_heads[name](tokens[:, 0])
        last = tokens[torch.arange(len(tokens), device=tokens.device), inputs.argmax(-1)]
        return self.modality_heads["text"](last)

    def embed(self, name: str, inputs: Tensor) -> Tensor:
        """Embeddings (b, out), of unit length, times the modality's scale where it has one.

        vision: (b, 3, 224, 224), or (b, 3, 2, 224, 224) for two frames. audio: (b, 1, 128, 204). text: (b, 77) int64.
        """
        found = F.normalize(self.head(name, self.trunk(name, self.tokens(name, inputs)), inputs), dim=-1)
        return found if name == "vision" else self.modality_postprocessors[name](found)

    def forward(self, name: str, clips: Tensor) -> Tensor:
        """Means over the clips of each sample: (b, clips, ...) -> (b, out). Not of unit length."""
        return self.embed(name, clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).mean(1)


def _size(state: Mapping[str, Tensor], name: str) -> tuple[int, int]:
    """Width and number of blocks of a tower."""
    stack = f"modality_trunks.{name}.blocks."
    width = state[f"{stack}0.norm_1.weight"].shape[0]
    return width, 1 + max(int(key[len(stack) :].split(".")[0]) for key in state if key.startswith(stack))


def _preprocessors(dims: Mapping[str, int], words: int) -> dict[str, nn.Module]:
    pair = nn.Conv3d(3, dims["vision"], (2, 14, 14), (2, 14, 14), bias=False)
    mel, thermal, depth = (nn.Conv2d(1, dims[n], 16, s, bias=False) for n, s in _STRIDES.items())
    stems: dict[str, tuple[str, nn.Module, bool]] = {
        "vision": ("rgbt_stem", nn.Sequential(nn.Identity(), pair), False),
        "audio": ("rgbt_stem", mel, True),
        "thermal": ("rgbt_stem", thermal, True),
        "depth": ("depth_stem", depth, True),
    }
    made: dict[str, nn.Module] = {
        name: parts.Patches(stem, proj, dims[name], _GRIDS[name], norm) for name, (stem, proj, norm) in stems.items()
    }
    return made | {"text": parts.Words(words, dims["text"]), "imu": parts.Motion(48, dims["imu"], 251)}


_STRIDES = {"audio": 10, "thermal": 16, "depth": 16}


def _trunk(name: str, dim: int, depth: int, heads: Heads) -> parts.Trunk:
    return parts.Trunk(dim, depth, getattr(heads, name), name not in {"vision", "text"}, norm_first=name == "vision")


def load(state: Mapping[str, Tensor], heads: Heads = Heads(), dtype: torch.dtype = torch.float32) -> ImageBindModel:
    """The model of a state dict, in eval mode, with the towers of `KEPT` alone.

    Tensors are taken over, not copied, where they have `dtype`; those of the other towers are not even read from a
    mapped file. Raises ConfigError model:state, with the names, when one is missing, one too many, or of another shape.
    """
    with torch.device("meta"):
        model = ImageBindModel(state, heads)
    try:
        model.load_state_dict(dict(state), assign=True)
    except RuntimeError as error:
        raise ConfigError("model:state", f"the state dict does not fit ImageBind: {error}") from None
    for towers in _towers(model):
        for name in set(towers) - set(KEPT):
            del towers[name]
    return model.to(dtype).eval()


def _towers(model: ImageBindModel) -> list[Any]:
    return [model.modality_preprocessors, model.modality_trunks, model.modality_heads, model.modality_postprocessors]
