"""Captions by Qwen-Omni out of a local folder, in this process: the same prompts, answers and columns as an endpoint's.

Nothing holds such a model to JSON. What is no JSON is asked for once more as plain text, which is the dense caption
alone: no other length is made up.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from captioners import omni
from captioners.caption import answer, asked
from captioners.caption.asked import Asked
from captioners.caption.settings import OmniSettings
from captioners.omni import Prompt
from manifests.errors import KlearError
from manifests.ids import digest
from manifests.settings import checked
from media.stage import Given
from media.views import VideoView


class OmniCaptioner(Asked):
    """Base of `caption.audio_omni`, `caption.video_omni`, `caption.fused_omni`. params: as of `OmniSettings`.

    A caption that came as plain text has NULL for the other lengths, and `+plain` in its prompt_version. seconds: its
    share of the batch.
    """

    OUTSIDE = frozenset({"folder", "licence", "on", "at_once"})
    """The folder's content is in the digest."""
    COST = None
    """The model's, which runs on a GPU, was not measured."""

    def __init__(self, **params: Any) -> None:
        self.settings = checked(OmniSettings, params, self.NAME)
        super().__init__(self.settings)
        self.VIEWS = asked.views(self.KIND, self.settings, self.settings.fps)
        self.model = Path(self.settings.folder).name
        self.BACKEND = f"transformers, {self.model}"
        self.SUMMARY = answer.summary()

    def digest(self) -> str:
        """Of the words and of the folder. Raises BackendAbsent when it holds no model."""
        return digest(self.words_digest(), omni.digest(self.settings.folder, self.NAME)).hex()

    def many(self, given: Sequence[Given]) -> list[dict[str, Any] | Exception]:
        """The captions of each clip, or caption:empty where the model wrote nothing."""
        size = self.settings.at_once
        return [row for i in range(0, len(given), size) for row in self._batch(given[i : i + size])]

    def _batch(self, given: Sequence[Given]) -> list[dict[str, Any] | Exception]:
        rows: list[dict[str, Any]] = [{"prompt_tokens": 0, "tokens": 0, "seconds": 0.0} for _ in given]
        left: Sequence[int] = range(len(given))
        if self.settings.form == "json":
            self._ask(given, rows, left, None)
            left = [i for i in left if not self._take(rows[i])]
        if left:
            self._ask(given, rows, left, answer.PLAIN)
            for i in left:
                rows[i] |= {"caption": rows[i].pop("text"), "caption_short": None, "structured": None}
                rows[i]["prompt_version"] += "+plain"
        return [row if row["caption"] else KlearError("caption:empty", f"{self.model} wrote nothing") for row in rows]

    def _take(self, row: dict[str, Any]) -> bool:
        """Make columns of a text that is the JSON asked for."""
        with suppress(KlearError):
            row |= answer.columns(answer.parse(row.pop("text"), self.answers))
            return True
        return False

    def _ask(self, given: Sequence[Given], rows: list[dict[str, Any]], left: Sequence[int], shape: str | None) -> None:
        """Ask for these clips as one batch; what was written goes into their rows as `text`."""
        settings, started = self.settings, time.monotonic()
        model = omni.load(settings.folder, settings.on, settings.dtype)
        prompts = [self._prompt(given[i], shape) for i in left]
        found = model.generate(prompts, settings.max_tokens, settings.seed, settings.temperature)
        share = (time.monotonic() - started) / len(left)
        for i, one in zip(left, found, strict=True):
            row = rows[i]
            row |= {"text": one.text, "backend": "transformers", "model": self.model, "seed": settings.seed}
            row["prompt_version"] = self.prompt_of(given[i][0]).label
            row["prompt_tokens"] += one.prompt_tokens
            row["tokens"] += one.tokens
            row["seconds"] = round(row["seconds"] + share, 3)

    def _prompt(self, one: Given, shape: str | None) -> Prompt:
        clip, views, facts = one
        media: dict[str, np.ndarray] = {}
        for view in self.VIEWS:
            media["frames" if isinstance(view, VideoView) else "audio"] = views[view]
        system = self.prompt_of(clip).system
        return Prompt(system, self.words(clip, facts, shape), fps=float(self.settings.fps), **media)
