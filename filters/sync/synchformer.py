"""Synchformer (Iashin 2024, MIT): temporal offset of sound and picture. Its weights are not shipped with any package.

Paper of klear, section 4: temporal alignment is judged by Synchformer, without a number; MOVA takes a DeSync of at most
0.5 s. Synchformer calls audio that is early positive; here `av_offset_s` > 0 means that the sound comes after the
picture, so its sign is turned once, in `synchformer_windows`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import pyarrow as pa

from filters.sync import synchformer_windows as windows
from filters.sync.synchformer_scorer import URL, VIEWS, Scorer, media_of
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import View, Views
from media.weights_at import Published

_RUN = "24-01-04T16-39-21"
WEIGHTS = Published("sync.synchformer", "synchformer", f"{_RUN}.pt", f"{URL}/{_RUN}/{_RUN}.pt", "MIT")


class Synchformer:
    """What 21 offsets from -2 to 2 s are worth, over windows of 4.8 s: `synchformer_windows.Answer`, and each window.

    judged: "measured", or "too short" below 4.8 s, where every other column is NULL. window_starts_s,
    window_offsets_s: of each window. Parameters as of `Scorer`; the default weights: $KLEAR_WEIGHTS/synchformer/….
    """

    NAME = "sync.synchformer"
    VERSION = 2
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "judged": pa.string(),
        "av_offset_s": pa.float64(),
        "expected_offset_s": pa.float64(),
        "p_in_sync": pa.float64(),
        "entropy": pa.float64(),
        "desync_s": pa.float64(),
        "window_starts_s": pa.list_(pa.float64()),
        "window_offsets_s": pa.list_(pa.float64()),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {
        "av_offset_s": (-10, 10),
        "expected_offset_s": (-10, 10),
        "p_in_sync": (0, 1),
        "entropy": (0, None),
    }
    VALUES: ClassVar[Mapping[str, Sequence[str]]] = {"judged": ("measured", "too short")}
    VIEWS: tuple[View, ...] = VIEWS
    INPUTS: tuple[str, ...] = ()
    BACKEND = f"Synchformer {_RUN}"
    LICENCE = "MIT (weights, v-iashin/Synchformer)"
    COST = 15.0

    def __init__(
        self,
        weights: str | None = None,
        window_step: int = 5,
        precision: str = "float32",
        on: str = "auto",
        at_once: int = 4,
    ) -> None:
        self.scorer = Scorer(WEIGHTS, "off_head", weights, window_step, precision, on, at_once)

    def digest(self) -> str:
        """As of `Scorer.digest`."""
        return self.scorer.digest()

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """Columns of one clip from its 16 kHz audio and its frames at 25 fps."""
        return self.many([(clip, views, facts)])[0]

    def many(self, given: Sequence[Given]) -> list[dict[str, Any]]:
        """Columns of several clips, whose segments run together."""
        return [_row(*found) for found in self.scorer.windows([media_of(views) for _, views, _ in given])]


def _row(first: list[int], probabilities: Any) -> dict[str, Any]:
    if not first:
        return {"judged": "too short"}
    each = {"window_starts_s": windows.seconds(first), "window_offsets_s": windows.window_offsets(probabilities)}
    return {"judged": "measured", **asdict(windows.answer(probabilities)), **each}


STAGE = Synchformer
