"""Prompts: one versioned YAML file each, below `prompts/`; which one a clip gets is a hash, so it never changes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from manifests.errors import ConfigError
from manifests.ids import digest

FOLDER = Path(__file__).with_name("prompts")


@dataclass(frozen=True)
class Prompt:
    """What a model is asked. version: one more whenever the words change. system: who it is to be. text: the task."""

    name: str
    version: int
    system: str
    text: str

    @property
    def label(self) -> str:
        """How a caption names it: `audio_scene@1`."""
        return f"{self.name}@{self.version}"


@lru_cache
def variants(kind: str) -> tuple[Prompt, ...]:
    """All prompts of a kind (`audio`, `video`, `fused`), by name: those whose file begins with it."""
    return tuple(_read(path) for path in sorted(FOLDER.glob(f"{kind}_*.yaml")))


def _read(path: Path) -> Prompt:
    return Prompt(**yaml.safe_load(path.read_text("utf-8")))


def chosen(kind: str, name: str | None, stage: str) -> tuple[Prompt, ...]:
    """The prompt of this name, or all of the kind for None. Raises ConfigError for a name that there is not."""
    found = variants(kind)
    if name is None:
        return found
    if named := tuple(prompt for prompt in found if prompt.name == name):
        return named
    raise ConfigError("config:prompt", f"{stage}: prompt = {name!r}; there are {[prompt.name for prompt in found]}")


def pick(prompts: Sequence[Prompt], clip_id: bytes, seed: int) -> Prompt:
    """One of them, by a hash of the clip and the seed."""
    return prompts[int.from_bytes(digest("prompt", seed, clip_id)[:8], "big") % len(prompts)]


def identity(prompts: Sequence[Prompt]) -> str:
    """Hex digest of all their words: part of the recipe."""
    return digest(*(text for p in prompts for text in (p.label, p.system, p.text))).hex()
