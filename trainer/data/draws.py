"""Every random number of training: a pure function of (seed, position in the sample stream, purpose).

A counter-based generator (Philox 4x64, Salmon et al. 2011) is keyed by seed and purpose and started at the position,
so resuming, another number of ranks, or another split into micro-batches cannot change what a sample is given.
"""

from enum import StrEnum
from hashlib import blake2b

import numpy as np
import torch


class Purpose(StrEnum):
    """What a number is drawn for; draws for different purposes are independent."""

    ORDER = "order"
    TASK = "task"
    SIGMA_V = "sigma_v"
    SIGMA_A = "sigma_a"
    COUPLING = "coupling"
    UNIFORM_V = "uniform_v"
    UNIFORM_A = "uniform_a"
    NOISE_V = "noise_v"
    NOISE_A = "noise_a"
    DROP_VIDEO_TEXT = "drop_video_text"
    DROP_AUDIO_CAPTION = "drop_audio_caption"
    DROP_TRANSCRIPT = "drop_transcript"


def generator(seed: int, position: int, purpose: Purpose | str) -> np.random.Generator:
    """A fresh generator for one (seed, position, purpose). Positions never share numbers: each has 2^64 blocks.

    Raises ValueError for a purpose that is not in `Purpose`.
    """
    digest = blake2b(f"{seed}/{Purpose(purpose).value}".encode(), digest_size=16, person=b"klear draws").digest()
    key = np.frombuffer(digest, dtype="<u8")
    # Word 0 of the counter moves as numbers are drawn; the position stands in word 1.
    return np.random.Generator(np.random.Philox(key=key, counter=np.array([0, position, 0, 0], dtype=np.uint64)))


def draw_uniform(seed: int, position: int, purpose: Purpose | str) -> float:
    """One number, uniform in [0, 1)."""
    return float(generator(seed, position, purpose).random())


def draw_normal(seed: int, position: int, purpose: Purpose | str, shape: tuple[int, ...]) -> torch.Tensor:
    """Standard normal float32 numbers of this shape, on the CPU."""
    return torch.from_numpy(generator(seed, position, purpose).standard_normal(shape, dtype=np.float32))
