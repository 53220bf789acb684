"""The single-tower MM-DiT: four streams in, two predictions out."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from trainer.model.attention import Meeting, gather_rows
from trainer.model.block import JointBlock, Rows
from trainer.model.chunks import one_group
from trainer.model.config import ModelConfig
from trainer.model.exchange import Context
from trainer.model.kernels import pick
from trainer.model.layout import STREAMS, Packed
from trainer.model.modulation import SigmaEmbedding
from trainer.model.rope import rope_table
from trainer.model.streams.captions import AudioTextEmbed, CaptionEmbed
from trainer.model.streams.media import MediaEmbed, MediaHead

Tables = list[list[torch.Tensor]]
"""Per block, per stream: (G, 6 * width) float32."""


class Prediction(NamedTuple):
    """The network's output, pad rows included: video (R_v, C_v p^2) and audio (R_a, C_a), float32.

    What it means (velocity or clean latent) is the objective's choice.
    """

    video: torch.Tensor
    audio: torch.Tensor


class MMDiT(nn.Module):
    """Klear's tower (paper section 3.2): per-stream weights, Omni-Full Attention, MixD-RoPE, AdaLN on sigma.

    Set from outside, and no part of the model's state: kernel, who computes attention (`trainer.model.kernels`);
    context, the processes that share a micro-batch's rows; tables_of, what computes the blocks' modulation where their
    weights are split (`trainer/modulation_rows.py`); finish_gradients, what must be done to gradients after the last
    backward pass of a step and before they are read.
    """

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
        self.kernel = "auto"
        self.context: Context | None = None
        self.tables_of: Callable[[torch.Tensor], Tables] = self._tables
        self.finish_gradients: Callable[[], None] = lambda: None

    def forward(self, packed: Packed) -> Prediction:
        """One pass over a packed micro-batch (see `Packed` for every shape)."""
        condition = self.sigma(packed.sigmas)
        rope = [rope_table(ids, self.config.head_dim, self.config.rope) for ids in packed.positions]
        tokens = self._through_blocks(self.embed(packed), self.tables_of(condition), rope, packed)
        video, audio = STREAMS.index("video"), STREAMS.index("audio")
        return Prediction(
            self.heads["video"](tokens[video], packed.video, condition, packed.group[video]),
            self.heads["audio"](tokens[audio], packed.audio, condition, packed.group[audio]),
        )

    def embed(self, packed: Packed) -> list[torch.Tensor]:
        """The tokens of the four streams, 4 x (R_s, width), before the first block; all of one dtype."""
        dtype = self.video.weight.dtype
        tokens = [
            self.video(packed.video.to(dtype)),
            self.video_text(packed.video_text, packed.video_text_kind),
            self.audio_text(packed.audio_text, packed.audio_text_kind, packed.transcript, packed.transcript_row),
            self.audio(packed.audio.to(dtype)),
        ]
        return [stream.to(tokens[0].dtype) for stream in tokens]

    def _tables(self, condition: torch.Tensor) -> Tables:
        return [block.modulation(condition) for block in self.blocks]  # type: ignore[operator]

    def _through_blocks(
        self, tokens: list[torch.Tensor], tables: Tables, rope: Sequence[torch.Tensor], packed: Packed
    ) -> list[torch.Tensor]:
        if self.config.shared:
            return self._as_one(tokens, tables, rope, packed)
        rows = [Rows(*row) for row in zip(rope, packed.group, packed.chunks)]
        places = tuple(self._places(packed).split([stream.shape[0] for stream in tokens]))
        meeting = self._meeting(packed, tokens[0], packed.order)._replace(place=places)
        for block, modulation in zip(self.blocks, tables):
            tokens = block(tokens, modulation, rows, meeting)
        return tokens

    def _as_one(
        self, tokens: list[torch.Tensor], tables: Tables, rope: Sequence[torch.Tensor], packed: Packed
    ) -> list[torch.Tensor]:
        """The blocks on one buffer of all streams, in document order where this process has all rows.

        The tables of the streams are laid one after the other.
        """
        counts = [stream.shape[0] for stream in tokens]
        x, turns, group = torch.cat(tokens), torch.cat(list(rope)), one_group(packed.group, len(packed.sigmas))
        ordered = self.context is None
        if ordered:
            x, turns, group = gather_rows(x, packed.order), turns[packed.order], group[packed.order]
        row = Rows(turns, group, packed.chunks[0])
        meeting = self._meeting(packed, x, None if ordered else packed.order)
        for block, modulation in zip(self.blocks, tables):
            (x,) = block([x], [torch.cat(modulation)], [row], meeting)
        if ordered:
            x = torch.empty_like(x).index_copy(0, packed.order, x)
        return list(x.split(counts))

    def _meeting(self, packed: Packed, x: torch.Tensor, order: torch.Tensor | None) -> Meeting:
        rows = sum(packed.document_lengths)
        kernel = pick(self.kernel, x.device, x.dtype)
        return Meeting(rows, None if order is None else order[:rows], packed.segments(), kernel, self.context)

    def _places(self, packed: Packed) -> torch.Tensor:
        """Where each row of the four buffers goes: among the documents' rows, or, to be exchanged, where it lies."""
        total = sum(len(group) for group in packed.group)
        here = torch.arange(total, dtype=torch.int32, device=packed.order.device)
        if self.context is not None:
            return here
        rows = sum(packed.document_lengths)
        return torch.full_like(here, -1).index_copy(0, packed.order[:rows], here[:rows])
