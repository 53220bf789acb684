"""What every measure and every captioner looks like: rows in, columns out, nothing else."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa

from manifests.expectations.contract import Bounds
from manifests.journal import Journal
from media.clip import Clip
from media.views import View, Views

__all__ = ["Bounds", "Facts", "Given", "Paid", "Row", "Stage", "Together"]

Row = Mapping[str, Any]
Facts = Mapping[str, Row]
"""Stage name -> the columns it wrote for this clip. A stage that did not run on the clip is not in it."""
Given = tuple[Clip, Views, Facts]
"""What a stage is given of one clip."""


class Stage(Protocol):
    """One step on one clip: a class in a module of its own, named in the preset by its import path below its room.

    NAME: the table's name, e.g. `audio.loudness` for `filters/audio/loudness.py`.
    VERSION: bump it when the same input gives another output (a golden test enforces it).
    COLUMNS: the columns it returns, all nullable, with their arrow types.
    VIEWS: the views it needs. INPUTS: names of the stages whose columns it reads from `facts`, where they ran.
    REQUIRES: those of them that it cannot do without; a stage without the attribute can do without all.
    BACKEND: what does the work, in a few words, e.g. `silero-vad 6.2.3 + YAMNet` or `formula`.
    LICENCE: of the model or formula. COST: CPU-seconds per second of clip, measured; None for what was not.
    RANGES: (least, most) value of its columns of numbers, None for no bound; VALUES: all words of its columns of words.
    Both are checked over every row, and may be left out: a column that ends in _ratio or _share lies in 0..1, one in
    _s (unless it is an offset), _us, _hz or _px is not negative, and no number is NaN or infinite.
    SUMMARY: what a job tells of its rows at the end, name -> SQL over its columns. OUTSIDE: names of parameters that
    change no row (an address, a pace) and are no part of the recipe. Both may be left out.
    """

    NAME: str
    VERSION: int
    COLUMNS: Mapping[str, pa.DataType]
    VIEWS: tuple[View, ...]
    INPUTS: tuple[str, ...]
    BACKEND: str
    LICENCE: str
    COST: float | None

    def digest(self) -> str:
        """Hex digest of the model files that decide the output ("" for a formula). Called on the driver, cheap.

        Raises BackendAbsent when what it needs (weights, package) is not at hand; the message says what and how.
        """
        ...

    def __call__(self, clip: Clip, views: Views, facts: Facts) -> dict[str, Any]:
        """The columns for one clip. Raises KlearError on bad input; any exception quarantines the clip."""
        ...


class Together(Stage, Protocol):
    """A stage that takes several clips at once, which keeps a GPU busy. Its rows are those of one by one, but for the
    rounding of sums. Workers hold `engine.needs.<job>.clips_at_once` clips; when `many` raises, each is asked alone.
    """

    def many(self, given: Sequence[Given]) -> Sequence[dict[str, Any] | Exception]:
        """The columns of each clip, in order; an exception blames that clip alone."""
        ...


class Paid(Stage, Protocol):
    """A stage whose answers cost money: it writes each down before it uses it, and never asks for it again."""

    def remember(self, journal: Journal) -> None:
        """Where the answers for the clips of the part that comes next are written down."""
        ...
