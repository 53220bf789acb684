"""The single-tower MM-DiT: four streams in, two predictions out."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from trainer.model.block import JointBlock
from trainer.model.config import ModelConfig
from trainer.model.layout import STREAMS, Packed
from trainer.model.modulation import SigmaEmbedding
from trainer.model.rope import rope_table
from trainer.model.streams.captions import AudioTextEmbed, CaptionEmbed
from trainer.model.streams.media import MediaEmbed, MediaHead


class Prediction(NamedTuple):
    """The network's output, pad rows included: video (R_v, C_v p^2) and audio (R_a, C_a), float32.

    What it means (velocity or clean latent) is the objective's choice.
    """

    video: torch.Tensor
    audio: torch.Tensor


class MMDiT(nn.Module):
    """Klear's tower (paper section 3.2): per-stream weights, Omni-Full Attention, MixD-RoPE, AdaLN on sigma."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        width, rank = config.width, config.modulation_rank
        self.sigma = SigmaEmbedding(width)
        self.video = MediaEmbed(config.patch_channels, width)
        self.video_text = CaptionEmbed(config)
        self.audio_text = AudioTextEmbed(config)
        self.audio = MediaEmbed(config.audio_channels, width)
        self.blocks = nn.ModuleList(JointBlock(config) for _ in range(config.layers))
        self.heads = nn.ModuleDict(
            {
                "video": MediaHead(width, config.patch_channels, rank),
                "audio": MediaHead(width, config.audio_channels, rank),
            }
        )

    def forward(self, packed: Packed) -> Prediction:
        """One pass over a packed micro-batch (see `Packed` for every shape)."""
        condition = self.sigma(packed.sigmas)
        rope = [rope_table(ids, self.config.head_dim, self.config.rope) for ids in packed.positions]
        members = [functional.one_hot(group, len(packed.sigmas)).float() for group in packed.group]
        tokens = self.embed(packed)
        for block in self.blocks:
            tokens = block(tokens, condition, members, rope, packed)
        video, audio = STREAMS.index("video"), STREAMS.index("audio")
        return Prediction(
            self.heads["video"](tokens[video], packed.video, condition, members[video]),
            self.heads["audio"](tokens[audio], packed.audio, condition, members[audio]),
        )

    def embed(self, packed: Packed) -> list[torch.Tensor]:
        """The tokens of the four streams, 4 x (R_s, width), before the first block."""
        dtype = self.video.weight.dtype
        return [
            self.video(packed.video.to(dtype)),
            self.video_text(packed.video_text, packed.video_text_kind),
            self.audio_text(packed.audio_text, packed.audio_text_kind, packed.transcript, packed.transcript_row),
            self.audio(packed.audio.to(dtype)),
        ]
