"""ImageBind (Girdhar 2023): does the sound belong to the picture. CC-BY-NC-SA 4.0: not for commercial use.

Paper of klear, section 4: semantic alignment is judged by ImageBind, without a number; MOVA takes a cosine of at least
0.2. The weights (4.5 GB) are not shipped with any package; this stage only says what is missing and never returns a
number without them.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from manifests.errors import BackendAbsent
from media.clip import Clip
from media.stage import Facts
from media.views import AUDIO_16K, VideoView, View, Views

RGB_2 = VideoView("rgb_2_224", fps=2, box=(224, 224), crop=True, pixels="rgb24")
CHECKPOINT = "imagebind_huge.pth"
URL = "https://dl.fbaipublicfiles.com/imagebind/"


class ImageBind:
    """`cosine` of the audio and the video embedding, in [-1, 1]: declared, not computed yet.

    weights: path of `imagebind_huge.pth`; default: $KLEAR_WEIGHTS/imagebind/imagebind_huge.pth.
    """

    NAME = "semantic.imagebind"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {"cosine": pa.float64()}
    VIEWS: tuple[View, ...] = (AUDIO_16K, RGB_2)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "imagebind_huge"
    LICENCE = "CC-BY-NC-SA-4.0 (code and weights, facebookresearch/ImageBind): non-commercial"
    COST = 2.0

    def __init__(self, weights: str | None = None) -> None:
        folder = Path(os.environ.get("KLEAR_WEIGHTS", "weights")) / "imagebind"
        self.weights = Path(weights) if weights else folder / CHECKPOINT

    def digest(self) -> str:
        """Raises BackendAbsent: without the checkpoint, or because this version cannot run it."""
        raise _absent(self.weights)

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Raises BackendAbsent: there is no score without the model."""
        raise _absent(self.weights)


def _absent(weights: Path) -> BackendAbsent:
    if weights.is_file():
        return BackendAbsent(
            "backend:not_built",
            f"{weights} is there, but this version of klear has no ImageBind forward pass; remove semantic.imagebind "
            "from the preset's stages: its gates stay unmeasured",
        )
    return BackendAbsent(
        "backend:weights",
        f"ImageBind's checkpoint is absent: put {URL}{CHECKPOINT} (CC-BY-NC-SA 4.0, non-commercial) at {weights}, "
        "or remove semantic.imagebind from the preset's stages: its gates stay unmeasured",
    )


STAGE = ImageBind
