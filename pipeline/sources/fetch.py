"""Fetch one source into a file of the source store, by the scheme of its uri."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import MediaError
from pipeline.sources import tar
from pipeline.sources.uris import local_path, scheme_of, split_member

if TYPE_CHECKING:
    from pipeline.sources.store import Store

_CHUNK = 1 << 20


def fetch(store: "Store", row: Mapping[str, Any], into: Path) -> str:
    """Write the source of a row to `into`, going on where an earlier try stopped; the version that was fetched.

    Raises MediaError when it cannot be had, MachineError when the network fails.
    """
    outer, member = split_member(row["uri"])
    if member is None:
        raise MediaError("source:scheme", f"{outer}: there is no way to fetch {scheme_of(outer)!r} sources")
    version, offset = tar.place(row["version"])
    _copy_range(_tar_path(outer, version, row["name"]), offset, row["bytes"], into)
    return str(row["version"])


def _tar_path(uri: str, version: str, name: str) -> Path:
    path = local_path(uri)
    try:
        now = f"mtime:{path.stat().st_mtime_ns}"
    except OSError as error:
        raise MediaError("source:gone", f"the tar of {name} cannot be read: {error.strerror}") from None
    if now != version:
        raise MediaError("media:changed", f"the tar of {name} was replaced: ingest it again")
    return path


def _copy_range(path: Path, offset: int, size: int, into: Path) -> None:
    with path.open("rb") as source, into.open("wb") as target:
        source.seek(offset)
        left = size
        while left and (data := source.read(min(left, _CHUNK))):
            target.write(data)
            left -= len(data)
    if left:
        raise MediaError("media:truncated", f"{os.path.basename(path)} ends {left} bytes before its member does")  # noqa: PTH119
