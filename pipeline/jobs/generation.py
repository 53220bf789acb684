"""Generations: numbered releases of shards. One set of samples under one recipe is one generation, for ever."""

import contextlib
import json
from dataclasses import dataclass
from operator import methodcaller

from manifests import files
from manifests.errors import ConfigError
from manifests.files import AnyPath, publish

NOTE = "generation.json"


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
    """The generation with this recipe, begun or finished; else the next number. `folder` holds all generations."""
    while True:
        known = listed(folder)
        for generation in known:
            if generation.recipe == recipe:
                return generation
        last = int(known[-1].name[1:]) if known else 0  # not how many: old ones may have been removed
        new = Generation(f"g{last + 1:04d}", recipe, shards, encode)
        note = json.dumps({"recipe": recipe, "shards": shards, "encode": encode}, indent=1).encode()
        publish(folder / new.name / NOTE, methodcaller("write", note))


def listed(folder: AnyPath) -> list[Generation]:
    """All generations in `folder`, oldest first. A folder without a note is of a run that died before it wrote one."""
    found = []
    for name in files.folders(folder):
        with contextlib.suppress(FileNotFoundError):
            found.append(Generation(name, **json.loads(files.read(folder / name / NOTE))))
    return found


def latest(folder: AnyPath) -> Generation:
    """The newest generation. Raises ConfigError when there is none."""
    known = listed(folder)
    if not known:
        raise ConfigError("out:no_shards", f"{folder} holds no shards yet: run `klear shard` first")
    return known[-1]
