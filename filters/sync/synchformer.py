"""Synchformer (Iashin 2024, MIT): temporal offset of sound and picture. Its weights are not shipped with any package.

Paper of klear, section 4: temporal alignment is judged by Synchformer, without a number. Sign: Synchformer calls audio
that is early positive; its stage will negate that, so that `offset_s` > 0 means that the sound comes after the picture.
Here the stage only says what is missing: it never returns a number without the weights.
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

RGB_25 = VideoView("rgb_25_224", fps=25, box=(224, 224), crop=True, pixels="rgb24")
CHECKPOINT = "24-01-04T16-39-21.pt"
URL = "https://a3s.fi/swift/v1/AUTH_a235c0f452d648828f745589cde1219a/sync/sync_models/24-01-04T16-39-21/"


class Synchformer:
    """`offset_s` (> 0: sound after picture), `p_in_sync`, `expected_abs_offset_s`: declared, not computed yet.

    weights: path of the AudioSet checkpoint `24-01-04T16-39-21.pt`; default: $KLEAR_WEIGHTS/synchformer/<that name>.
    """

    NAME = "sync.synchformer"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "offset_s": pa.float64(),
        "p_in_sync": pa.float64(),
        "expected_abs_offset_s": pa.float64(),
    }
    VIEWS: tuple[View, ...] = (AUDIO_16K, RGB_25)
    INPUTS: tuple[str, ...] = ()
    BACKEND = "Synchformer 24-01-04T16-39-21"
    LICENCE = "MIT (code and weights, v-iashin/Synchformer)"
    COST = 1.0

    def __init__(self, weights: str | None = None) -> None:
        folder = Path(os.environ.get("KLEAR_WEIGHTS", "weights")) / "synchformer"
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
            f"{weights} is there, but this version of klear has no Synchformer forward pass; remove sync.synchformer "
            "from the preset's stages: its gates stay unmeasured",
        )
    return BackendAbsent(
        "backend:weights",
        f"Synchformer's checkpoint is absent: put {URL}{CHECKPOINT} (MIT) at {weights}, or remove sync.synchformer "
        "from the preset's stages: its gates stay unmeasured",
    )


STAGE = Synchformer
