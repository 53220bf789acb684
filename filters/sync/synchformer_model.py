"""Synchformer (Iashin, Xie, Rahtu, Zisserman 2024): which of 21 offsets between the sound and the picture of 4.8 s.

Reads the authors' state dict by its own names and shapes. Both towers work a segment of 0.64 s at a time, so that
features are computed once however many windows of segments are judged. The head tells the two checkpoints apart.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from filters.sync.audio_tower import AudioTower
from filters.sync.video_tower import VideoTower
from manifests.errors import ConfigError

SEGMENTS = {"off_head": 14, "sync_head": 13}
"""Segments of a window, by the head: one of 21 offsets, or whether the two can be synchronised at all."""
_POSITIONS = "transformer.pos_emb_cfg.pos_emb"


@dataclass(frozen=True)
class Heads:
    """Attention heads of the three parts: the only sizes that the shapes of a state dict do not tell."""

    video: int = 12
    audio: int = 12
    sync: int = 8


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.key, self.query, self.value, self.proj = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        parts = (self.query, self.key, self.value)
        split = [part(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts]
        return self.proj(F.scaled_dot_product_attention(*split).transpose(1, 2).flatten(2))


class _Block(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attn = _Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln1(x))
        return x + self.mlp(self.ln2(x))


class _Positions(nn.Module):
    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        self.pos_emb = nn.Parameter(torch.zeros(1, tokens, dim))


class SyncTransformer(nn.Module):
    """Features of both streams, side by side, to one token that knows the answer. head: its name and its classes."""

    def __init__(self, dim: int, depth: int, heads: int, head: tuple[str, int], tokens: int) -> None:
        super().__init__()
        self.OFF_tok, self.MOD_tok = (nn.Parameter(torch.zeros(1, 1, dim)) for _ in range(2))
        self.vis_in_lnorm, self.aud_in_lnorm = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.pos_emb_cfg = _Positions(tokens, dim)
        self.blocks = nn.ModuleList(_Block(dim, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(dim)
        self.head = head[0]
        self.add_module(self.head, nn.Linear(dim, head[1]))

    def hidden(self, video: Tensor, audio: Tensor) -> Tensor:
        """video: (b, segments * 8, dim), audio: (b, segments * 6, dim) -> the offset token, normalised (b, dim)."""
        off, mod = (token.expand(len(video), -1, -1) for token in (self.OFF_tok, self.MOD_tok))
        tokens = torch.cat([off, self.vis_in_lnorm(video), mod, self.aud_in_lnorm(audio)], 1)
        tokens = tokens + self.pos_emb_cfg.pos_emb
        for block in self.blocks:
            tokens = block(tokens)
        return self.ln_f(tokens[:, 0])

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """As `hidden` -> logits (b, classes)."""
        return getattr(self, self.head)(self.hidden(video, audio))


class SynchformerModel(nn.Module):
    """The two towers, a projection each, and the transformer over both."""

    def __init__(self, state: Mapping[str, Tensor], heads: Heads = Heads()) -> None:
        """Empty parameters in the sizes of `state`. Raises ConfigError model:state when it is no Synchformer."""
        super().__init__()
        try:
            head = "sync_head" if "transformer.sync_head.weight" in state else "off_head"
            width = {part: state[f"{part}.weight"].shape for part in ("vproj", "aproj", f"transformer.{head}")}
            depths = [_depth(state, name) for name in _STACKS]
        except KeyError as error:
            raise ConfigError("model:state", f"this is no state dict of Synchformer: it has no {error}") from None
        self.vfeat_extractor = VideoTower(width["vproj"][1], depths[0], heads.video)
        self.afeat_extractor = AudioTower(width["aproj"][1], depths[1], heads.audio)
        dim = width["vproj"][0]
        self.vproj, self.aproj = nn.Linear(width["vproj"][1], dim), nn.Linear(width["aproj"][1], dim)
        self.segments = SEGMENTS[head]
        end, tokens = (head, width[f"transformer.{head}"][0]), 2 + self.segments * (8 + 6)
        self.transformer = SyncTransformer(dim, depths[2], heads.sync, end, tokens)

    def features(self, pixels: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        """pixels: (s, 16, 3, 224, 224), mel: (s, 1, 128, 66), a segment each -> (s, 8, dim), (s, 6, dim), projected."""
        return self.vproj(self.vfeat_extractor(pixels)), self.aproj(self.afeat_extractor(mel))

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Projected features of windows, (w, segments, 8, dim) and (w, segments, 6, dim) -> logits (w, classes)."""
        return self.transformer(video.flatten(1, 2), audio.flatten(1, 2))


_STACKS = ("vfeat_extractor.blocks", "afeat_extractor.ast.encoder.layer", "transformer.blocks")


def _depth(state: Mapping[str, Tensor], stack: str) -> int:
    numbers = {int(key[len(stack) + 1 :].split(".")[0]) for key in state if key.startswith(stack + ".")}
    if not numbers:
        raise KeyError(f"{stack}.0")
    return max(numbers) + 1


def load(state: Mapping[str, Tensor], heads: Heads = Heads(), dtype: torch.dtype = torch.float32) -> SynchformerModel:
    """The model of a state dict, in eval mode, its tensors taken over, not copied, where they have `dtype`.

    A longer table of positions is cut to its first entries, as the authors do. Raises ConfigError model:state, with the
    names, when one is missing, one too many, or of another shape.
    """
    with torch.device("meta"):
        model = SynchformerModel(state, heads)
    own = dict(state)
    own[_POSITIONS] = own[_POSITIONS][:, : model.transformer.pos_emb_cfg.pos_emb.shape[1]]
    try:
        model.load_state_dict({key: value.to(dtype) for key, value in own.items()}, assign=True)
    except RuntimeError as error:
        raise ConfigError("model:state", f"the state dict does not fit Synchformer: {error}") from None
    return model.eval()
