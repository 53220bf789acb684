"""From documents to one packed micro-batch."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch

from trainer.clocks import audio_duration_s, video_latents_for
from trainer.data.sample import Sample
from trainer.documents import Conditions, Document
from trainer.model.chunks import buffer_chunks
from trainer.model.config import ModelConfig
from trainer.model.layout import (
    CAPTION,
    END_BYTE,
    NULL_CAPTION,
    NULL_TRANSCRIPT,
    PAD,
    PAD_ROWS,
    STREAMS,
    TRANSCRIPT,
    Packed,
    document_order,
    registers,
)
from trainer.model.rope import audio_positions, text_positions, video_positions
from trainer.patches import grid_of, patchify

Part = TypeVar("Part", "Packed", "Targets")

Text = tuple[torch.Tensor, torch.Tensor]
"""Features of a caption (m, D), and the kinds of all rows of its stream (n,), the caption's first."""


@dataclass(frozen=True)
class Targets:
    """What the objective needs of one medium's buffer; R rows, pads included.

    noisy, clean: (R, C) x_sigma and x. noise: (R, C). sigma: (R,). carries_loss: (R,) float32, 0 or 1.
    document: (R,) int64, the row's document; D for pads.
    """

    noisy: torch.Tensor
    clean: torch.Tensor
    noise: torch.Tensor
    sigma: torch.Tensor
    carries_loss: torch.Tensor
    document: torch.Tensor

    def to(self, device: torch.device) -> "Targets":
        """The same on `device`, without waiting for the copy."""
        return replace(self, **{f.name: getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)})


def _pinned(part: Part) -> Part:
    """The same with its tensors in page-locked memory, from where a copy to the device does not wait."""
    return replace(part, **{f.name: _pin(getattr(part, f.name)) for f in fields(part)})


def _pin(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.pin_memory()
    if isinstance(value, tuple) and value and isinstance(value[0], torch.Tensor):
        return tuple(tensor.pin_memory() for tensor in value)
    return value


@dataclass(frozen=True)
class PackedBatch:
    """A micro-batch: the model's input and, per medium, the objective's. `documents` names its rows on the host."""

    packed: Packed
    video: Targets
    audio: Targets
    documents: tuple[Document, ...]

    def to(self, device: torch.device) -> "PackedBatch":
        """The same micro-batch on `device`; `documents` stay where they are."""
        return PackedBatch(self.packed.to(device), self.video.to(device), self.audio.to(device), self.documents)

    def pin_memory(self) -> "PackedBatch":
        """The same micro-batch in page-locked memory; needs a CUDA device."""
        return PackedBatch(_pinned(self.packed), _pinned(self.video), _pinned(self.audio), self.documents)


def pack(
    documents: Sequence[Document], config: ModelConfig, pad_rows: int = PAD_ROWS, multiple: int = 1, room: int = 1
) -> PackedBatch:
    """Lay the documents out as `Packed` says, with at least `pad_rows` pads a stream (0 only in the test that they
    change nothing), and as many more as make its rows a multiple of `multiple`, for context parallelism to split and
    for float8 products.

    room: documents that have a place among the sigmas: their number must be equal in processes that exchange them.

    Raises ConfigError when `config.patch` does not divide a document's picture.
    """
    rows = [_rows(document, config) for document in documents]
    lengths = tuple(tuple(len(r.positions[s]) for s in range(len(STREAMS))) for r in rows)
    pads = _pads(lengths, pad_rows, multiple)  # type: ignore[arg-type]
    video = _targets(rows, 0, config.patch_channels, pads[0])
    audio = _targets(rows, 1, config.audio_channels, pads[3])
    text, kinds = zip(*(_cat_text(rows, i, config.text_dim, pads[1 + i]) for i in range(2)), strict=True)
    transcript, transcript_row = _cat_bytes(rows, config.bytes.kernel // 2, pads[2])
    groups, sigmas = _groups(rows, pads, room)
    order = document_order(lengths, pads)  # type: ignore[arg-type]
    packed = Packed(
        lengths=lengths,  # type: ignore[arg-type]
        order=order,
        video=video.noisy,
        audio=audio.noisy,
        video_text=text[0],
        audio_text=text[1],
        video_text_kind=kinds[0],
        audio_text_kind=kinds[1],
        transcript=transcript,
        transcript_row=transcript_row,
        positions=tuple(_pad_cat([r.positions[s] for r in rows], (3,), pads[s]) for s in range(len(STREAMS))),
        group=groups,
        sigmas=sigmas,
        chunks=buffer_chunks(groups, len(sigmas), order),
    )
    return PackedBatch(packed, video, audio, tuple(documents))


def media_rows(sample: Sample, medium: int, patch: int) -> torch.Tensor:
    """The clean rows of a sample's video (0), (n, p p C_v), or audio (1), (n, C_a), in the order of the buffers."""
    return patchify(sample.video, patch).flatten(0, 2) if medium == 0 else sample.audio


def _pads(lengths: Sequence[Sequence[int]], least: int, multiple: int) -> tuple[int, ...]:
    """Pad rows of each stream."""
    rows = (sum(counts[s] for counts in lengths) + least for s in range(len(STREAMS)))
    return tuple(least + -count % multiple for count in rows)


@dataclass(frozen=True)
class _Media:
    """One medium's rows of one document, each (n, ...)."""

    clean: torch.Tensor
    noise: torch.Tensor
    sigma: torch.Tensor


@dataclass(frozen=True)
class _Rows:
    """The rows of one document, streams in order. registers: of them in the audio text, at its end."""

    media: tuple[_Media, _Media]
    text: tuple[Text, Text]
    symbols: torch.Tensor
    positions: tuple[torch.Tensor, ...]
    sigmas: tuple[float, float]
    registers: int


def _rows(document: Document, config: ModelConfig) -> _Rows:
    sample, task, drawn = document.sample, document.task, document.conditions
    patch = config.patch
    noise = patchify(drawn.noise_video, patch).flatten(0, 2)
    video = _media(media_rows(sample, 0, patch), noise, drawn.sigma_video, *_cut(document, 0, patch))
    audio = _media(media_rows(sample, 1, patch), drawn.noise_audio, drawn.sigma_audio, *_cut(document, 1, patch))
    video_text = _caption(sample.video_text, drawn.drop_video_text, task.has("video_text"))
    audio_text, symbols = _audio_text(sample, drawn, task.has("audio_text"))
    counts = (len(video.clean), len(video_text[1]), len(audio_text[1]), len(audio.clean))
    more = registers(counts, config.length)
    video_text, audio_text = _longer(video_text, more[0]), _longer(audio_text, more[1])
    return _Rows(
        (video, audio),
        (video_text, audio_text),
        symbols,
        _positions(sample, len(video.clean), len(video_text[1]), len(audio_text[1]), len(audio.clean), config),
        (drawn.sigma_video, drawn.sigma_audio),
        more[1],
    )


def _longer(text: Text, more: int) -> Text:
    """With so many registers after it."""
    features, kinds = text
    return features, torch.cat([kinds, torch.full((more,), PAD)])


def _cut(document: Document, medium: int, patch: int) -> tuple[bool, int]:
    """Whether the medium is there, and how many of its first rows are given clean."""
    name = ("video", "audio")[medium]
    shape = document.sample.video.shape if medium == 0 else document.sample.audio.shape
    rows_a_latent = shape[1] * shape[2] // patch**2 if medium == 0 else 1
    return document.task.has(name), document.task.clean.get(name, 0) * rows_a_latent


def _media(clean: torch.Tensor, noise: torch.Tensor, sigma: float, present: bool, given: int) -> _Media:
    count = len(clean) if present else 0
    levels = torch.full((count,), sigma)
    levels[:given] = 0.0
    return _Media(clean[:count], noise[:count], levels)


def _caption(features: torch.Tensor, drop: bool, present: bool) -> Text:
    """Features (m, D) and kinds (n,) of one caption, n = m; or no features and one null row: dropped, or empty."""
    if not present:
        return features[:0], torch.empty(0, dtype=torch.int64)
    if drop or len(features) == 0:
        return features[:0], torch.tensor([NULL_CAPTION])
    return features, torch.full((len(features),), CAPTION)


def _audio_text(sample: Sample, drawn: Conditions, present: bool) -> tuple[Text, torch.Tensor]:
    """The rows [audio caption ; transcript], of which the caption's have features, and the transcript's symbols.

    Symbols are empty when the transcript is dropped or absent.
    """
    features, kinds = _caption(sample.audio_text, drawn.drop_audio_caption, present)
    if not present:
        return (features, kinds), torch.empty(0, dtype=torch.int64)
    symbols = torch.cat([sample.speech.long(), torch.tensor([END_BYTE])])
    symbols = symbols[:0] if drawn.drop_transcript else symbols
    spoken = torch.full((len(symbols),), TRANSCRIPT) if len(symbols) else torch.tensor([NULL_TRANSCRIPT])
    return (features, torch.cat([kinds, spoken])), symbols


def _positions(
    sample: Sample, video: int, video_text: int, audio_text: int, audio: int, config: ModelConfig
) -> tuple[torch.Tensor, ...]:
    latents, height, width = grid_of(tuple(sample.video.shape[:3]), config.patch)  # type: ignore[arg-type]
    would_have = latents or video_latents_for(audio_duration_s(audio))
    return (
        video_positions(latents, height, width, config.rope)[:video],
        text_positions(video_text, config.rope),
        text_positions(audio_text, config.rope),
        audio_positions(audio, would_have, config.rope),
    )


def _targets(rows: Sequence[_Rows], medium: int, channels: int, pad_rows: int) -> Targets:
    media = [r.media[medium] for r in rows]
    clean = _pad_cat([m.clean for m in media], (channels,), pad_rows)
    noise = _pad_cat([m.noise for m in media], (channels,), pad_rows)
    sigma = _pad_cat([m.sigma for m in media], (), pad_rows)
    owner = [torch.full((len(m.sigma),), i) for i, m in enumerate(media)]
    document = torch.cat([*owner, torch.full((pad_rows,), len(media))])
    level = sigma[:, None]
    return Targets((1 - level) * clean + level * noise, clean, noise, sigma, (sigma > 0).float(), document)


def _cat_text(rows: Sequence[_Rows], i: int, text_dim: int, pad_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Features (R, text_dim), zero where the row is no caption, and kinds (R,), of the rows and the pads."""
    kinds = torch.cat([*(r.text[i][1] for r in rows), torch.full((pad_rows,), PAD)])
    # NumPy's zeros are pages not yet written: the blank rows of long transcripts then cost nothing here.
    features = torch.from_numpy(np.zeros((len(kinds), text_dim), np.float32))
    start = 0
    for r in rows:
        given, own = r.text[i]
        features[start : start + len(given)] = given
        start += len(own)
    return features, kinds


def _cat_bytes(rows: Sequence[_Rows], gap: int, pad_rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`Packed.transcript` and `Packed.transcript_row`."""
    symbols, targets, start = [], [], 0
    last = sum(len(r.text[1][1]) for r in rows) + pad_rows - 1
    between = torch.full((gap,), -1)
    for r in rows:
        end = start + len(r.text[1][1])
        symbols += [r.symbols, between]
        spoken = end - r.registers
        targets += [torch.arange(spoken - len(r.symbols), spoken), torch.full((gap,), last)]
        start = end
    pads = max(pad_rows, 1)
    return torch.cat([*symbols, torch.full((pads,), -1)]), torch.cat([*targets, torch.full((pads,), last)])


def _groups(rows: Sequence[_Rows], pads: Sequence[int], room: int) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
    """Group 0 is sigma 0; document i has group 1 + 2i for its video and its text, 2 + 2i for its audio and its."""
    sigmas = torch.tensor([0.0, *(sigma for r in rows for sigma in r.sigmas), *[0.0] * 2 * (room - len(rows))])
    streams = []
    for stream, medium in enumerate((0, 0, 1, 1)):
        pieces = [_group(r, stream, medium, 1 + 2 * i + medium) for i, r in enumerate(rows)]
        streams.append(torch.cat([*pieces, torch.zeros(pads[stream], dtype=torch.int64)]))
    return tuple(streams), sigmas


def _group(rows: _Rows, stream: int, medium: int, group: int) -> torch.Tensor:
    if STREAMS[stream] in {"video", "audio"}:
        return (rows.media[medium].sigma > 0).long() * group
    return torch.full((len(rows.positions[stream]),), group)


def _pad_cat(pieces: Sequence[torch.Tensor], tail: tuple[int, ...], pad_rows: int) -> torch.Tensor:
    return torch.cat([*pieces, torch.zeros(pad_rows, *tail)])
