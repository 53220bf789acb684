"""Generations: numbered releases of shards. One set of samples under one recipe is one generation, for ever."""

import json
import re
from dataclasses import dataclass
from operator import methodcaller
from typing import Any

from manifests import files
from manifests.errors import ConfigError
from manifests.files import AnyPath, publish

NOTE = "generation.json"
_NAME = re.compile(r"g([0-9]{4,})")
"""Other folders beside the generations, e.g. backups, are left alone."""


@dataclass(frozen=True)
class Generation:
    """A release: its name (`g0001`), its recipe (of all its samples and how they are rendered), number of shards.

    encode: the recipe of its encoded clips alone.
    """

    name: str
    recipe: str
    shards: int
    encode: str = ""

    def shard_names(self) -> list[str]:
        """File names of its shards, in order."""
        return [f"shard-{number:05d}.tar" for number in range(self.shards)]


def find_or_start(folder: AnyPath, recipe: str, shards: int, encode: str = "") -> Generation:
    """The generation with this recipe, begun or finished; else the next number. `folder` holds all generations.

    Raises ConfigError as `listed`.
    """
    while True:
        known = listed(folder)
        for generation in known:
            if generation.recipe == recipe:
                return generation
        last = _number(known[-1].name) if known else 0  # not how many: old ones may have been removed
        new = Generation(f"g{last + 1:04d}", recipe, shards, encode)
        note = json.dumps({"recipe": recipe, "shards": shards, "encode": encode}, indent=1).encode()
        publish(folder / new.name / NOTE, methodcaller("write", note))


def listed(folder: AnyPath) -> list[Generation]:
    """All generations in `folder`, oldest first. A folder without a note is of a run that died before it wrote one.

    Raises ConfigError shard:generation for a note that cannot be understood.
    """
    names = sorted((name for name in files.folders(folder) if _NAME.fullmatch(name)), key=_number)
    return [known for name in names if (known := _read(folder, name)) is not None]


def _number(name: str) -> int:
    """Of a generation; names sort otherwise from g10000 on."""
    return int(name[1:])


def _read(folder: AnyPath, name: str) -> Generation | None:
    path = folder / name / NOTE
    try:
        return _parsed(name, json.loads(files.read(path)))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            "shard:generation",
            f"{path} is not the note of a generation ({type(error).__name__}: {error}): put it back from a copy, "
            f"or move {folder / name} elsewhere, and run `klear shard`",
        ) from None


def _parsed(name: str, told: dict[str, Any]) -> Generation:
    recipe, shards, encode = told["recipe"], told["shards"], told.get("encode", "")
    if not (isinstance(recipe, str) and isinstance(encode, str) and type(shards) is int and shards > 0):
        raise ValueError(f"recipe = {recipe!r}, shards = {shards!r}, encode = {encode!r}")
    return Generation(name, recipe, shards, encode)


def latest(folder: AnyPath) -> Generation:
    """The newest generation. Raises ConfigError when there is none, and as `listed`."""
    known = listed(folder)
    if not known:
        raise ConfigError("out:no_shards", f"{folder} holds no shards yet: run `klear shard` first")
    return known[-1]
