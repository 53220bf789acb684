"""Measures of a file as jobs take them: rendered views, stages in order, facts passed on."""

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from media.clip import Clip
from media.render import render_views
from media.stage import Stage
from media.views import Views
from media.whole import whole_clip


def stage(name: str) -> Stage:
    """The stage of this name, as presets make it without parameters."""
    made: Stage = importlib.import_module(f"filters.{name}").STAGE()
    return made


def of(path: Path, names: Sequence[str], clip: Clip | None = None) -> dict[str, Any]:
    """`<stage>.<column>` -> value, of the whole file (or a clip of it)."""
    stages = [stage(name) for name in names]
    clip = clip or whole_clip(path)
    facts: dict[str, dict[str, Any]] = {}
    with render_views(clip, sorted({v for s in stages for v in s.VIEWS}, key=lambda view: view.name)) as views:
        for one in stages:
            facts[one.NAME] = one(clip, views, facts)
    return {f"{name}.{key}": value for name, row in facts.items() for key, value in row.items()}


def on(name: str, views: Views, facts: dict[str, Any] | None = None) -> dict[str, Any]:
    """A stage's columns from views that were made by hand: measures of views do not look at the clip."""
    return stage(name)(None, views, facts or {})  # type: ignore[arg-type]
