"""Baselines: the profiles of a run's tables, kept as JSON, or made when asked for of another output folder."""

import json
from collections.abc import Iterable, Mapping
from operator import methodcaller

from manifests import files
from manifests.catalog import Catalog
from manifests.errors import ConfigError
from manifests.expectations import profile
from manifests.expectations.profile import Profile

VERSION = 1
SUFFIX = ".json"
Baseline = Mapping[str, Profile]
"""By table."""


def of(catalog: Catalog, names: Iterable[str]) -> Baseline:
    """The profiles of those current tables of these names whose distributions say something."""
    compared = catalog.currents(name for name in names if profile.is_compared(name))
    return {name: profile.of(catalog, table) for name, table in compared.items()}


def save(place: str, baseline: Baseline) -> None:
    """Write a baseline where `read` finds it. Raises ConfigError `validate:baseline` for a place that is no .json."""
    if not place.endswith(SUFFIX):
        raise ConfigError("validate:baseline", f"a baseline is saved as a .json file; got {place!r}")
    told = {"version": VERSION, "tables": {name: found.to_json() for name, found in baseline.items()}}
    files.replace(_path(place), methodcaller("write", json.dumps(told, indent=1, sort_keys=True).encode()))


def read(place: str, names: Iterable[str]) -> Baseline:
    """The baseline at a place: a file that `save` wrote (.json), or an output folder, whose tables are counted now.

    Raises ConfigError `validate:baseline` where there is none.
    """
    if place.endswith(SUFFIX):
        return _load(place)
    catalog = Catalog(files.root(place))
    if not catalog.names():
        raise ConfigError("validate:baseline", f"{place} holds no tables: give an output folder, or a saved baseline")
    return of(catalog, {*names, "clips"})  # they say how many sources there are


def _load(place: str) -> Baseline:
    try:
        told = json.loads(files.read(_path(place)))
        if told["version"] != VERSION:
            raise ValueError(f"version {told['version']}, this klear reads {VERSION}")
        return {name: Profile.from_json(found) for name, found in told["tables"].items()}
    except FileNotFoundError:
        raise ConfigError(
            "validate:baseline", f"no baseline {place}: `klear validate --save-baseline` writes one"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError("validate:baseline", f"{place} is not a saved baseline ({error})") from None


def _path(place: str) -> files.AnyPath:
    folder, _, name = place.rpartition("/")
    return files.root(folder or ("/" if place.startswith("/") else ".")) / name
