"""SyncNet (Chung and Zisserman 2016): 0.2 s of a face and of sound, to places in one space of 1,024 dimensions.

Reads the authors' state dict (`syncnet_v2.model`) by its own names and shapes. Only the first convolution of the face
looks over time, five frames at once: a whole track goes through it in one piece, and every window comes out.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from manifests.errors import ConfigError

FRAMES, STEPS = 5, 20
"""Frames of 25 fps and cepstra of 100 Hz in a window."""
STEPS_A_FRAME = 4
_COUNTERS = "num_batches_tracked"
"""Entries of batch norms that newer torch writes; only training reads them."""


class SyncNetModel(nn.Module):
    """Two towers (`netcnnaud`, `netcnnlip`) and two heads (`netfcaud`, `netfclip`), named as the authors named them."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_flat(1, 64, 3, 1),
            nn.MaxPool2d(1, 1),
            *_flat(64, 192, 3, 1),
            nn.MaxPool2d(3, (1, 2)),
            *_flat(192, 384, 3, 1),
            *_flat(384, 256, 3, 1),
            *_flat(256, 256, 3, 1),
            nn.MaxPool2d(3, 2),
            *_flat(256, 512, (5, 4), 0),
        )
        self.netcnnlip = nn.Sequential(
            *_deep(3, 96, (FRAMES, 7, 7), 2, 0),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(96, 256, (1, 5, 5), 2, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_deep(256, 256, (1, 3, 3), 1, 1),
            *_deep(256, 256, (1, 3, 3), 1, 1),
            *_deep(256, 256, (1, 3, 3), 1, 1),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_deep(256, 512, (1, 6, 6), 1, 0),
        )
        self.netfcaud, self.netfclip = _head(), _head()

    def lips(self, pixels: Tensor) -> Tensor:
        """Windows of consecutive frames: (3, n, 224, 224), blue first, 0 to 255 -> (n - 4, 1024)."""
        return self.netfclip(self.netcnnlip(pixels[None])[0, :, :, 0, 0].T)

    def sound(self, cepstra: Tensor) -> Tensor:
        """Windows of sound: (n, 13, 20) -> (n, 1024)."""
        return self.netfcaud(self.netcnnaud(cepstra[:, None]).flatten(1))


def load(state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32) -> SyncNetModel:
    """The model of a state dict, in eval mode. Raises ConfigError model:state, with the names, when it is another."""
    with torch.device("meta"):
        model = SyncNetModel()
    own = {key: value.to(dtype) for key, value in state.items() if not key.endswith(_COUNTERS)}
    own |= {key: torch.tensor(0) for key in model.state_dict() if key.endswith(_COUNTERS)}
    try:
        model.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise ConfigError("model:state", f"the state dict does not fit SyncNet: {error}") from None
    return model.eval()


def _flat(wide: int, out: int, kernel: int | tuple[int, int], pad: int) -> list[nn.Module]:
    return [nn.Conv2d(wide, out, kernel, padding=pad), nn.BatchNorm2d(out), nn.ReLU()]


def _deep(wide: int, out: int, kernel: tuple[int, int, int], step: int, pad: int) -> list[nn.Module]:
    convolution = nn.Conv3d(wide, out, kernel, (1, step, step), (0, pad, pad))
    return [convolution, nn.BatchNorm3d(out), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
