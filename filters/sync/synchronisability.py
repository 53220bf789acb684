"""Can the offset of this clip be judged at all: Synchformer's model of synchronisability (Iashin 2024, section 5).

Trained on pairs up to 2 s apart against pairs 4.5 s apart: a speaker in view can be judged, music over landscapes
cannot. A gate before Synchformer's answer, not a part of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from filters.sync import synchformer_windows as windows
from filters.sync.synchformer_scorer import URL, VIEWS, Scorer, media_of
from media.clip import Clip
from media.stage import Bounds, Facts, Given
from media.views import View, Views
from media.weights_at import Published

_RUN = "24-01-22T20-34-52"
WEIGHTS = Published("sync.synchronisability", "synchformer", f"{_RUN}.pt", f"{URL}/{_RUN}/{_RUN}.pt", "MIT")


class Synchronisability:
    """`p_synchronisable`: mean over windows of 4.48 s of the probability that sound and picture can be told to belong
    together, in [0, 1]; p_least: of the worst window. judged: "measured", or "too short" below 4.48 s.

    Parameters as of `Scorer`; the default weights: $KLEAR_WEIGHTS/synchformer/….
    """

    NAME = "sync.synchronisability"
    VERSION = 1
    COLUMNS: ClassVar[Mapping[str, pa.DataType]] = {
        "judged": pa.string(),
        "p_synchronisable": pa.float64(),
        "p_least": pa.float64(),
        "window_starts_s": pa.list_(pa.float64()),
    }
    RANGES: ClassVar[Mapping[str, Bounds]] = {"p_synchronisable": (0, 1), "p_least": (0, 1)}
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
        self.scorer = Scorer(WEIGHTS, "sync_head", weights, window_step, precision, on, at_once)

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
    able = probabilities[:, 1]
    found = {"p_synchronisable": float(able.mean()), "p_least": float(able.min())}
    return {"judged": "measured", **found, "window_starts_s": windows.seconds(first)}


STAGE = Synchronisability
