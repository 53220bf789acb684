"""DOVER (Wu 2023): how good a video is, technically and aesthetically, by two networks that see it in two ways.

Reads the authors' state dict (DOVER.pth) by its own names and shapes. The scores have a scale of their own; the authors
map each to [0, 1] by a logistic curve and fuse the two (`evaluate_a_set_of_videos.py`), as `in_unit` does.
"""

from collections.abc import Mapping
from math import exp

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.checkpoint import below
from filters.video.dover_aesthetic import AestheticBranch
from filters.video.dover_technical import TechnicalBranch
from manifests.errors import ConfigError

TECHNICAL, AESTHETIC = (0.1107, 0.07355), (-0.08285, 0.03774)
"""Mean and deviation of the scores, as the authors subtract and divide."""
SHARES = (0.6104, 0.3896)
"""Of the technical and of the aesthetic score in the overall one."""


class _Head(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc_hid, self.fc_last = nn.Conv3d(dim, hidden, 1), nn.Conv3d(hidden, 1, 1)

    def forward(self, features: Tensor) -> Tensor:
        return self.fc_last(F.gelu(self.fc_hid(features)))


class DoverModel(nn.Module):
    """Both branches, a head each."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        """Empty parameters in the sizes of `state`. Raises ConfigError model:state when it is no DOVER."""
        super().__init__()
        try:
            self.technical_backbone = TechnicalBranch(below(state, "technical_backbone"))
            self.aesthetic_backbone = AestheticBranch(below(state, "aesthetic_backbone"))
            heads = [state[f"{name}_head.fc_hid.weight"].shape for name in ("technical", "aesthetic")]
        except KeyError as error:
            raise ConfigError("model:state", f"this is no state dict of DOVER: it has no {error}") from None
        self.technical_head, self.aesthetic_head = (_Head(shape[1], shape[0]) for shape in heads)

    def technical(self, pixels: Tensor) -> Tensor:
        """pixels: (b, 3, 32, 224, 224) of fragments, normalised -> scores (b,), on the network's own scale."""
        return self.technical_head(self.technical_backbone(pixels)).mean((1, 2, 3, 4))

    def aesthetic(self, pixels: Tensor) -> Tensor:
        """pixels: (b, 3, 32, 224, 224) of shrunk frames, normalised -> scores (b,), on the network's own scale."""
        return self.aesthetic_head(self.aesthetic_backbone(pixels)).mean((1, 2, 3, 4))


def in_unit(technical: float, aesthetic: float) -> tuple[float, float, float]:
    """Technical, aesthetic and overall quality in [0, 1] of the two scores."""
    apart = [
        (score - mean) / deviation for score, (mean, deviation) in zip((technical, aesthetic), (TECHNICAL, AESTHETIC))
    ]
    overall = sum(share * score for share, score in zip(SHARES, apart))
    first, second, third = (1 / (1 + exp(-score)) for score in (*apart, overall))
    return first, second, third


def load(state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> DoverModel:
    """The model of a state dict, in eval mode, its tensors taken over, not copied, where they have `dtype`.

    Raises ConfigError model:state, with the names, when one is missing, one too many, or of another shape.
    """
    with torch.device("meta"):
        model = DoverModel(state)
    own = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    try:
        model.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ConfigError("model:state", f"the state dict does not fit DOVER: {error}") from None
    return model.eval()
