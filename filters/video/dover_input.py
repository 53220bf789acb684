"""What DOVER sees of a clip: which frames, in which form, in which numbers (the authors' `dover.yml`).

The authors draw the places of fragments and runs by chance, inside bounds; here each is in the middle of its bounds, so
that a clip has one score. They shrink with torchvision's Resize, which smooths since version 0.17 and did not when the
weights were trained (1 to 3 grey levels apart, in the mean); here it smooths. They read frames of less than 224 px by a
grid of the unscaled size; here such frames are scaled up whole.
"""

import numpy as np
import torch
from torch import Tensor

FRAMES, STEP, RUNS = 32, 2, 3
"""Of the technical branch: frames of a run, grid frames from one to the next, and runs in a clip."""
_MEAN, _DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def runs(total: int) -> np.ndarray:
    """Frames (3, 32) that the technical branch sees of `total`: every second one, amid each third of the clip."""
    third = total // RUNS
    late = max(0, third - FRAMES * STEP - 1) // 2
    return (np.arange(RUNS)[:, None] * third + late + np.arange(FRAMES) * STEP) % total


def spread(total: int) -> np.ndarray:
    """Frames (32,) that the aesthetic branch sees of `total`: one of each 32nd of the clip."""
    part = total // FRAMES
    return (np.arange(FRAMES) * part + max(0, part - STEP - 1) // 2) % total


def pixels(frames: np.ndarray) -> Tensor:
    """(32, 224, 224, 3) uint8 RGB -> (1, 3, 32, 224, 224) float32, normalised."""
    values = (torch.from_numpy(frames.astype(np.float32)) - torch.tensor(_MEAN)) / torch.tensor(_DEVIATION)
    return values.permute(3, 0, 1, 2)[None].contiguous()
