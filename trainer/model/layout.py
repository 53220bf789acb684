"""The packed layout: how the documents of a micro-batch lie in four buffers, one a stream."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

STREAMS = ("video", "video_text", "audio_text", "audio")
"""The streams in their one fixed order: of buffers, of a document's tokens inside attention, of every 4-tuple below."""

MEDIA = ("video", "audio")
"""The two streams that are made; the others are given."""

PAD_ROWS = 16
"""Rows at the end of every buffer that belong to no document, attend to nothing and carry no loss."""

PAD, CAPTION, NULL_CAPTION, TRANSCRIPT, NULL_TRANSCRIPT = range(5)
"""Kinds of a text row. PAD inside a document is a register (`ModelConfig.length`). A null row stands for a dropped text
("unknown"); an empty transcript is its end mark alone."""

END_BYTE = 256
"""The mark that ends every transcript, after the byte values 0..255."""


def registers(rows: tuple[int, int, int, int], length: int) -> tuple[int, int]:
    """How many registers a document of these rows gets in its video text and in its audio text (one of them, if any),
    so that its tokens are a multiple of `length`. None where it has no text."""
    more = -sum(rows) % length
    return (more, 0) if rows[1] else (0, more if rows[2] else 0)


@dataclass(frozen=True)
class Packed:
    """One micro-batch as the model reads it. D documents; stream s has R_s rows; no padding between documents.

    Buffer of stream s, (R_s, channels): the rows of document 0, of document 1, ..., then at least PAD_ROWS pad rows. A
    stream that is absent from a document has no rows of it, which equals masking its queries and keys. Pad rows keep
    every module of every stream running on every rank, whatever the tasks (FSDP2 needs the same parameters everywhere).

    lengths: D tuples (n_video, n_video_text, n_audio_text, n_audio) of row counts. Host integers: reading them never
        waits for the device.
    order: (R,) int64, all rows of the concatenation [video; video_text; audio_text; audio] of the four buffers: first
        the documents', one document after the other, [V_0; TV_0; TA_0; A_0; V_1; ...], then the pads.
    video: (R_v, C_v p^2) float32, x_sigma of p x p latent cells (`trainer/patches.py`); rows in (latent, h, w) order.
    audio: (R_a, C_a) float32, x_sigma, by time.
    video_text, audio_text: (R, text_dim) float32 caption features; zero where the row is no caption.
    video_text_kind, audio_text_kind: (R,) int64, PAD .. NULL_TRANSCRIPT. A document's audio text is
        [audio caption ; transcript ; registers], each of the two one row when dropped.
    transcript: (B,) int64, bytes of the transcripts with an END_BYTE after each, -1 between documents (a gap of at
        least half a convolution kernel, so that transcripts do not see each other) and as padding.
    transcript_row: (B,) int64: the audio_text row each byte becomes; bytes that are -1 point at the last (pad) row.
    positions: 4 x (R_s, 3) float32: (t, h, w) ids.
    group: 4 x (R_s,) int64: index into `sigmas` of the row's noise level.
    sigmas: (G,) float32 in [0, 1]: sigma per (document, noise level) group; group 0 is sigma 0 (clean tokens, pads).
    chunks: 5 x (C, 3) int32, see `trainer.model.chunks.chunks_of`: per stream, then of all streams as one buffer, whose
        groups are stream * G + group and whose rows are in document order.
    """

    lengths: tuple[tuple[int, int, int, int], ...]
    order: torch.Tensor
    video: torch.Tensor
    audio: torch.Tensor
    video_text: torch.Tensor
    audio_text: torch.Tensor
    video_text_kind: torch.Tensor
    audio_text_kind: torch.Tensor
    transcript: torch.Tensor
    transcript_row: torch.Tensor
    positions: tuple[torch.Tensor, ...]
    group: tuple[torch.Tensor, ...]
    sigmas: torch.Tensor
    chunks: tuple[torch.Tensor, ...]

    @property
    def document_lengths(self) -> tuple[int, ...]:
        """Tokens of each document over all streams: the segments of `order`."""
        return tuple(sum(counts) for counts in self.lengths)

    def segments(self) -> torch.Tensor:
        """`document_lengths` for the attention operator: int64 on the CPU, with zeros after it, at least two long.

        (A compiler would make a graph of its own for one document, since it takes a size of 1 for a constant.)
        """
        lengths = self.document_lengths
        return torch.tensor([*lengths, *[0] * (2 - len(lengths))], dtype=torch.int64)

    def to(self, device: torch.device) -> "Packed":
        """The same micro-batch on `device`, without waiting for the copy."""
        moved: dict[str, Any] = {f.name: _move(getattr(self, f.name), device) for f in fields(self)}
        return replace(self, **moved)


def _move(value: Any, device: torch.device) -> Any:
    if isinstance(value, torch.Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, tuple) and value and isinstance(value[0], torch.Tensor):
        return tuple(tensor.to(device, non_blocking=True) for tensor in value)
    return value


def document_order(
    lengths: tuple[tuple[int, int, int, int], ...], pads: Sequence[int] = (PAD_ROWS,) * len(STREAMS)
) -> torch.Tensor:
    """`Packed.order` for these lengths and this many pad rows of each stream: (R,) int64."""
    starts, start = [], 0
    for stream, rows in enumerate(pads):
        starts.append(start)
        start += sum(counts[stream] for counts in lengths) + rows
    pieces = []
    for counts in (*lengths, pads):
        for stream, count in enumerate(counts):
            pieces.append(torch.arange(starts[stream], starts[stream] + count))
            starts[stream] += count
    return torch.cat(pieces)
