"""Features of the segments of several clips at once, made once however many windows they are in; and the judgement."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from filters.sync import synchformer_input as prepare
from filters.sync.synchformer_model import SynchformerModel

Media = tuple[np.ndarray, np.ndarray]
"""Frames (T, H, W, 3) uint8 at 25 fps, at least 224 each way; float32 samples (n,) at 16 kHz."""


def features_of(model: SynchformerModel, clips: Sequence[Media], at_once: int) -> list[tuple[Tensor, Tensor]]:
    """Of each clip, (segments, 8, dim) and (segments, 6, dim); of a clip that is too short for a window, none.

    at_once: segments that go through the towers together, whichever clips they are of.
    """
    counts = [prepare.segments_in(len(frames), len(samples)) for frames, samples in clips]
    counts = [count if count >= model.segments else 0 for count in counts]
    wanted = [(i, segment) for i, count in enumerate(counts) for segment in range(count)]
    ends = [prepare.centre(frames) for frames, _ in clips]
    groups = [wanted[start : start + at_once] for start in range(0, len(wanted), at_once)]
    found = [_run(model, [(ends[i], clips[i][1], segment) for i, segment in group]) for group in groups]
    if not found:
        none = torch.zeros(0, 1, 1)
        return [(none, none) for _ in clips]
    video, audio = (torch.cat(parts).split(counts) for parts in zip(*found))
    return list(zip(video, audio))


@torch.inference_mode()
def judge(model: SynchformerModel, features: tuple[Tensor, Tensor], first: Sequence[int]) -> np.ndarray:
    """Probabilities (windows, classes) of windows that begin at these segments of the features of a clip."""
    video, audio = (torch.stack([part[i : i + model.segments] for i in first]) for part in features)
    return model(video, audio).float().softmax(-1).cpu().numpy().astype(np.float64)


def _run(model: SynchformerModel, group: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> tuple[Tensor, Tensor]:
    like = model.vproj.weight
    pixels = torch.cat([prepare.pixels(frames, segment, 1) for frames, _, segment in group])
    mel = torch.cat([prepare.mel(samples, segment, 1) for _, samples, segment in group])
    return model.features(pixels.to(like), mel.to(like))
