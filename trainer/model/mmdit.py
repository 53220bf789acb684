"""The single-tower MM-DiT: four streams in, two predictions out."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from trainer.model.attention import Meeting, gather_rows
from trainer.model.block import JointBlock, Rows
from trainer.model.chunks import shifted
from trainer.model.config import ModelConfig
from trainer.model.exchange import Context
from trainer.model.kernels import pick
from trainer.model.layout import MEDIA, STREAMS, Packed
from trainer.model.modulation import SigmaEmbedding
from trainer.model.rope import rope_table
from trainer.model.streams.captions import AudioTextEmbed, CaptionEmbed
from trainer.model.streams.media import MediaEmbed, MediaHead

Tables = list[list[torch.Tensor]]
"""Per block, per stream: (G, 6 * width) float32."""


class Still(NamedTuple):
    """What a pass reads besides the media and their noise levels: the same at every step of sampling.

    texts: tokens of video text and of audio text, (R, width). rope: per buffer of the blocks, (R, 2, head_dim) float32,
    rows as they lie there. order, chunks: as `Packed` has them. meeting: who attends to whom.
    """

    texts: tuple[torch.Tensor, torch.Tensor]
    rope: list[torch.Tensor]
    order: torch.Tensor
    chunks: tuple[torch.Tensor, ...]
    meeting: Meeting


class Levels(NamedTuple):
    """All AdaLN vectors of G noise levels, float32. blocks: per block, per buffer (its streams one after the other),
    (G, 6 * width). heads: of video and of audio, (G, 2 * width).
    """

    blocks: Tables
    heads: list[torch.Tensor]


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
        still = self.prepare(packed)
        return self.run(packed.video, packed.audio, packed.group, still, self.levels(packed.sigmas))

    def prepare(self, packed: Packed) -> Still:
        """The part of a pass that reads neither the media nor the noise levels."""
        rope = [rope_table(ids, self.config.head_dim, self.config.rope) for ids in packed.positions]
        texts = (
            self.video_text(packed.video_text, packed.video_text_kind),
            self.audio_text(packed.audio_text, packed.audio_text_kind, packed.transcript, packed.transcript_row),
        )
        rope = [self._as_one(rope, packed.order)] if self.config.shared else rope
        return Still(texts, rope, packed.order, packed.chunks, self._meeting(packed))

    def levels(self, sigmas: torch.Tensor) -> Levels:
        """The part of a pass that reads noise levels (G,) alone: each AdaLN matrix is read once for all of them."""
        condition = self.sigma(sigmas)
        blocks = self.tables_of(condition)
        blocks = [[torch.cat(streams)] for streams in blocks] if self.config.shared else blocks
        return Levels(blocks, [self.heads[medium].modulation(condition) for medium in MEDIA])  # type: ignore[operator]

    def run(
        self, video: torch.Tensor, audio: torch.Tensor, group: Sequence[torch.Tensor], still: Still, levels: Levels
    ) -> Prediction:
        """The rest of a pass. video, audio, group (into the rows of `levels`): as `Packed` has them."""
        tokens = self._through_blocks(self.embed(video, audio, still.texts), group, still, levels)
        first, last = STREAMS.index("video"), STREAMS.index("audio")
        return Prediction(
            self.heads["video"](tokens[first], video, levels.heads[0], group[first], still.chunks[first]),
            self.heads["audio"](tokens[last], audio, levels.heads[1], group[last], still.chunks[last]),
        )

    def embed(
        self, video: torch.Tensor, audio: torch.Tensor, texts: tuple[torch.Tensor, torch.Tensor]
    ) -> list[torch.Tensor]:
        """The tokens of the four streams, 4 x (R_s, width), before the first block; all of one dtype."""
        dtype = self.video.weight.dtype
        tokens = [self.video(video.to(dtype)), *texts, self.audio(audio.to(dtype))]
        return [stream.to(tokens[0].dtype) for stream in tokens]

    def _tables(self, condition: torch.Tensor) -> Tables:
        return [block.modulation(condition) for block in self.blocks]  # type: ignore[operator]

    def _through_blocks(
        self, tokens: list[torch.Tensor], group: Sequence[torch.Tensor], still: Still, levels: Levels
    ) -> list[torch.Tensor]:
        counts, order = [stream.shape[0] for stream in tokens], still.order
        if self.config.shared:
            group = [self._as_one(shifted(group, len(levels.heads[0])), order)]
            tokens = [self._as_one(tokens, order)]
        chunks = still.chunks[-1:] if self.config.shared else still.chunks[:-1]
        rows = [Rows(*row) for row in zip(still.rope, group, chunks, strict=True)]
        kernel = pick(self.kernel, tokens[0].device, tokens[0].dtype)
        meeting = still.meeting._replace(kernel=kernel)
        for block, tables in zip(self.blocks, levels.blocks):
            tokens = block(tokens, tables, rows, meeting)
        if self.ordered:
            tokens = [torch.empty_like(tokens[0]).index_copy(0, order, tokens[0])]
        return list(tokens[0].split(counts)) if self.config.shared else tokens

    def _meeting(self, packed: Packed) -> Meeting:
        rows = sum(packed.document_lengths)
        order = None if self.ordered else packed.order[:rows]
        return Meeting(rows, order, packed.segments(), self.kernel, self.context, self._places(packed))

    def _places(self, packed: Packed) -> tuple[torch.Tensor | None, ...]:
        """Where each row of the buffers goes: among the documents' rows, or, to be exchanged, where it lies."""
        if self.config.shared:
            return (None,)
        counts = [len(group) for group in packed.group]
        places = torch.arange(sum(counts), dtype=torch.int32, device=packed.order.device)
        if self.context is None:
            rows = sum(packed.document_lengths)
            places = torch.full_like(places, -1).index_copy(0, packed.order[:rows], places[:rows])
        return places.split(counts)

    @property
    def ordered(self) -> bool:
        """Whether the blocks work on one buffer in document order: one set of weights, and all rows in this process."""
        return self.config.shared and self.context is None

    def _as_one(self, streams: Sequence[torch.Tensor], order: torch.Tensor) -> torch.Tensor:
        """What the streams' rows have, as the one buffer that the blocks work on."""
        joined = torch.cat(list(streams))
        return gather_rows(joined, order) if self.ordered else joined
