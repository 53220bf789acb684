"""ImageBind's own preprocessing of sound, pictures and texts. Numbers: its repository (`data.py`)."""

import gzip
import html
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import ftfy
import numpy as np
import torch
from PIL import Image
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from torch.nn import functional as F

from filters.audio.kaldi_bands import fbank
from filters.semantic.imagebind_parts import CONTEXT
from media.weights import PackagedFile

RATE, CLIP_S, CLIPS = 16_000, 2.0, 3
SIDE = 224
_COLUMNS = 204
_MEAN, _TWICE_STD = -4.268, 9.138
_RGB_MEAN, _RGB_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
START, END = 49_406, 49_407
_MERGES = 49_152 - 256 - 2
MERGES = PackagedFile(
    "imagebind-unofficial", "0.1.1", "imagebind", "bpe/bpe_simple_vocab_16e6.txt.gz",
    "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a",
)  # fmt: skip
"""CLIP's byte pairs (MIT), as OpenAI publishes them."""


def clip_starts(duration_s: float, count: int = CLIPS) -> list[float]:
    """Where `count` clips of 2 s begin, evenly from the start to the end (s); all at 0 where there is less."""
    apart = max(0.0, duration_s - CLIP_S) / (count - 1) if count > 1 else 0.0
    return [k * apart for k in range(count)]


def mel_clips(samples: np.ndarray, count: int = CLIPS) -> Tensor:
    """Float32 mono samples (n,) at 16 kHz -> normalised log-mel (count, 1, 128, 204).

    The mean of each clip is removed from a copy: the authors remove it in place, so that a clip that overlaps the one
    before is shifted twice.
    """
    starts = [int(start * RATE) for start in clip_starts(len(samples) / RATE, count)]
    found = [_mel(samples[start : start + int(CLIP_S * RATE)]) for start in starts]
    return (torch.stack(found).unsqueeze(1) - _MEAN) / _TWICE_STD


def _mel(clip: np.ndarray) -> Tensor:
    banks = fbank(torch.tensor(clip - clip.mean()))
    return F.pad(banks.T, (0, _COLUMNS - len(banks)))[:, :_COLUMNS]


def image(pixels: np.ndarray) -> Tensor:
    """uint8 RGB (H, W, 3) -> (3, 224, 224): short side to 224 in uint8 (bicubic), centre crop, normalised."""
    height, width = pixels.shape[:2]
    size = (SIDE, int(SIDE * height / width)) if width <= height else (int(SIDE * width / height), SIDE)
    scaled = np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
    top, left = (round((length - SIDE) / 2) for length in scaled.shape[:2])
    return normalised(torch.tensor(scaled[top : top + SIDE, left : left + SIDE]).permute(2, 0, 1))


def crops(frames: np.ndarray) -> Tensor:
    """uint8 RGB (T, H, W, 3) -> (3, 3, T, 224, 224): three crops (start, middle, end of the longer side), as a video.

    The short side is scaled to 224 in float, bilinear, without antialiasing, as the authors do.
    """
    planes = torch.tensor(frames).permute(0, 3, 1, 2) / 255
    height, width = planes.shape[2:]
    size = (int(SIDE * height / width), SIDE) if width < height else (SIDE, int(SIDE * width / height))
    if size != (height, width):
        planes = F.interpolate(planes, size, mode="bilinear", align_corners=False)
    return thirds(_standard(planes))


def thirds(planes: Tensor) -> Tensor:
    """(T, 3, H, W), the shorter of H and W 224 -> (3, 3, T, 224, 224): crops of start, middle and end, as a video."""
    places = _places(*planes.shape[2:])
    return torch.stack([planes.transpose(0, 1)[..., top : top + SIDE, left : left + SIDE] for top, left in places])


def _places(height: int, width: int) -> list[tuple[int, int]]:
    middle = (-((SIDE - height) // 2), -((SIDE - width) // 2))  # rounded up
    if height > width:
        return [(0, middle[1]), middle, (height - SIDE, middle[1])]
    return [(middle[0], 0), middle, (middle[0], width - SIDE)]


def normalised(planes: Tensor) -> Tensor:
    """uint8 (..., 3, H, W) to float32 with the mean and deviation of CLIP's pictures."""
    return _standard(planes / 255)


def _standard(planes: Tensor) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (_RGB_MEAN, _RGB_STD))
    return (planes - mean) / std


def tokens(texts: Sequence[str], vocabulary: Path | None = None) -> Tensor:
    """(n, 77) int64: start, words, end, padded with 0. What is too long is cut and still ends with the end.

    vocabulary: path of CLIP's merges (gzip); None: the file that a package ships. Raises BackendAbsent
    backend:weights_changed when that file is another than the one this was tested with.
    """
    if vocabulary is None:
        MERGES.identify()
        vocabulary = MERGES.locate()
    rows = torch.zeros(len(texts), CONTEXT, dtype=torch.int64)
    for row, text in zip(rows, texts):
        found = _tokenizer(vocabulary).encode(_clean(text), add_special_tokens=False).ids
        ids = [START, *found, END]
        ids = ids if len(ids) <= CONTEXT else [*ids[: CONTEXT - 1], END]
        row[: len(ids)] = torch.tensor(ids)
    return rows


def _clean(text: str) -> str:
    return " ".join(html.unescape(html.unescape(ftfy.fix_text(text))).split()).lower()


_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


@lru_cache(maxsize=2)
def _tokenizer(vocabulary: Path) -> Tokenizer:
    """CLIP's byte pairs, from the file of merges that its authors publish."""
    lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")[1 : _MERGES + 1]
    merges = [(first, second) for first, second in (line.split() for line in lines)]
    codes = [*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)]
    letters = [chr(code) for code in codes]
    names = [*letters, *(letter + "</w>" for letter in letters), *("".join(pair) for pair in merges)]
    ids = {name: i for i, name in enumerate([*names, "<|startoftext|>", "<|endoftext|>"])}
    made = Tokenizer(models.BPE(vocab=ids, merges=merges, end_of_word_suffix="</w>"))
    split = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    made.decoder = decoders.BPEDecoder(suffix="</w>")
    made.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    return made
