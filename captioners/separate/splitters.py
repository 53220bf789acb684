"""The ways to split a mix into voice and background, by the name a preset gives them."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from captioners.separate import deepfilternet, hpss_residual
from captioners.separate.demucs import Demucs
from manifests.errors import ConfigError
from manifests.settings import checked

Stems = tuple[np.ndarray, np.ndarray]
"""Voice and background, float32, of the mix's shape; they add up to the mix."""


class Splitter(Protocol):
    """A way to split. BACKEND, LICENCE, COST: as of a stage. CHANNELS: of the mix that it is best given, 1 or 2."""

    @property
    def BACKEND(self) -> str: ...
    @property
    def LICENCE(self) -> str: ...
    @property
    def COST(self) -> float: ...
    @property
    def CHANNELS(self) -> int: ...

    def digest(self) -> str:
        """Hex digest of what decides the stems. Raises BackendAbsent when it is not at hand."""
        ...

    def split(self, audio: np.ndarray, rate: int) -> Stems:
        """Split float32 samples (n,) at `rate` Hz; with two CHANNELS, (n, 2) as well."""
        ...


SPLITTERS: dict[str, Splitter] = {"hpss_residual": hpss_residual, "deepfilternet": deepfilternet}
"""Those that need no settings: what they run on ships inside packages."""
NAMES = sorted([*SPLITTERS, "demucs"])


def make(backend: str, **settings: Any) -> Splitter:
    """The splitter of that name; loads no model. settings: of `Demucs`, the only one that has any.

    Raises ConfigError for an unknown backend, settings that it does not have, or values that cannot be.
    """
    check(backend)
    if backend == "demucs":
        return checked(Demucs, settings, "separator demucs")
    if settings:
        raise ConfigError("config:backend", f"separator {backend!r} takes no {sorted(settings)}: those are demucs's")
    return SPLITTERS[backend]


def named(separator: str | Mapping[str, Any]) -> Splitter:
    """The splitter of a name, or of {backend: its name, and its settings}. Raises ConfigError as `make`."""
    return make(**{"backend": separator} if isinstance(separator, str) else {"backend": None, **separator})


def split(backend: str, audio: np.ndarray, rate: int, **settings: Any) -> Stems:
    """Split float32 samples (n,) at `rate` Hz into (voice, background). Raises ConfigError as `make`."""
    return make(backend, **settings).split(audio, rate)


def split_many(splitter: Splitter, mixes: Sequence[np.ndarray], rate: int) -> list[Stems]:
    """The stems of several mixes, together where the splitter can."""
    if isinstance(splitter, Demucs):
        return splitter.split_many(mixes, rate)
    return [splitter.split(mix, rate) for mix in mixes]


def check(backend: str) -> None:
    """Raise ConfigError unless `backend` is known."""
    if backend not in NAMES:
        raise ConfigError("config:backend", f"separator {backend!r} is unknown; use one of {NAMES}")
