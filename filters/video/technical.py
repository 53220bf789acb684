"""Size and rate of the picture, as probed: no decoding."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pyarrow as pa

from media.clip import Clip
from media.stage import Bounds, Facts
from media.views import View, Views


class Technical:
    """`width`, `height` in pixels after rotation, `pixels` = their product, `short_side`, `fps` of the clip's grid."""

    NAME = "video.technical"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "width": pa.int32(),
        "height": pa.int32(),
        "short_side": pa.int32(),
        "pixels": pa.int64(),
        "fps": pa.float64(),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "width": (1, 65_536),
        "height": (1, 65_536),
        "short_side": (1, 65_536),
        "pixels": (1, None),
        "fps": (0.1, 1_000),
    }
    VIEWS: tuple[View, ...] = ()
    INPUTS: tuple[str, ...] = ()
    BACKEND = "formula"
    LICENCE = "Apache-2.0 (klear)"
    COST = 0.0

    def digest(self) -> str:
        """A formula: no model."""
        return ""

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its plan."""
        return {
            "width": clip.width,
            "height": clip.height,
            "short_side": min(clip.width, clip.height),
            "pixels": clip.width * clip.height,
            "fps": float(clip.fps),
        }


STAGE = Technical
