"""Stages by name: `audio.loudness` in a preset is the class in `filters/audio/loudness.py`. Nothing is registered."""

import difflib
import importlib
import importlib.util
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import Field

from manifests.errors import BackendAbsent, ConfigError
from manifests.expectations.contract import Declared
from manifests.ids import recipe
from media.stage import Stage
from pipeline.settings import Settings

ROOMS = ("filters", "captioners")
_MARK = "\nSTAGE = "
"""The line that makes a module a stage."""


class StageRef(Settings):
    """A stage of the preset."""

    name: str = Field(description="module path below filters/ or captioners/, e.g. audio.loudness")
    params: dict[str, Any] = Field(default_factory=dict, description="arguments of the stage's class")
    required: bool = Field(default=True, description="false: when its backend is absent, say so and go on without it")


def make(ref: StageRef) -> Stage:
    """The stage object; loads no model. Raises ConfigError for an unknown name or parameter."""
    found: Any = kind(ref.name)
    if found is None:
        near = difflib.get_close_matches(ref.name, known(), 1, 0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {known()}"
        raise ConfigError("config:stage", f"no stage {ref.name!r}; {hint}")
    try:
        stage: Stage = found(**ref.params)
        return stage
    except TypeError as error:
        raise ConfigError("config:stage", f"stage {ref.name!r} with {ref.params}: {error}") from None


def kind(name: str) -> type[Stage] | None:
    """The class of a stage, which can tell its columns without any parameter; None when there is no such stage."""
    room = _room(name)
    found: type[Stage] | None = importlib.import_module(f"{room}.{name}").STAGE if room else None
    return found


def declared(name: str) -> Declared:
    """What a stage says of the values of its columns; nothing for a table that no stage on disk makes."""
    stage = kind(name)
    return Declared(getattr(stage, "RANGES", {}), getattr(stage, "VALUES", {}))


def _room(name: str) -> str | None:
    return next((room for room in ROOMS if _exists(f"{room}.{name}")), None)


def _exists(module: str) -> bool:
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        return False
    return spec is not None and spec.origin is not None and _MARK in Path(spec.origin).read_text()


def known() -> list[str]:
    """Names of all stages on disk."""
    top = Path(__file__).parents[1]
    files = [(room, path) for room in ROOMS for path in sorted((top / room).rglob("*.py"))]
    return [
        ".".join(path.relative_to(top / room).with_suffix("").parts)
        for room, path in files
        if _MARK in path.read_text()
    ]


def told(stage: Stage) -> list[str]:
    """The columns that policies, people and samples read: not those of bytes or of unsigned words for machines."""
    return [name for name, kind in stage.COLUMNS.items() if not _for_machines(kind)]


def _for_machines(kind: pa.DataType) -> bool:
    words = pa.types.is_list(kind) and pa.types.is_unsigned_integer(kind.value_type)
    return words or pa.types.is_binary(kind)


def absence(stage: Stage) -> str | None:
    """Why the stage's backend cannot run here, None when it can."""
    try:
        stage.digest()
    except BackendAbsent as error:
        return error.message
    return None


def stage_recipe(ref: StageRef, stage: Stage, inputs: dict[str, str]) -> str:
    """The recipe of a stage's rows: VERSION, model digest, parameters, recipes of its inputs (and of the clips)."""
    return recipe(stage.NAME, stage.VERSION, stage.digest(), params(ref, stage), inputs)


def params(ref: StageRef, stage: Stage) -> dict[str, Any]:
    """The parameters that decide what the stage's rows say: not where a model is, nor how fast it is asked."""
    outside: frozenset[str] = getattr(stage, "OUTSIDE", frozenset())
    return {name: value for name, value in ref.params.items() if name not in outside}
