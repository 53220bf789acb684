"""Fetch one source into a file of the source store, by the scheme of its uri."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.errors import MediaError
from pipeline.sources import bucket, retry, tar, ytdlp
from pipeline.sources.download import download
from pipeline.sources.http import Web
from pipeline.sources.uris import BUCKETS, WEB, YTDLP, host_of, local_path, scheme_of, split_member

if TYPE_CHECKING:
    from pipeline.sources.store import Store

_CHUNK = 1 << 20


def fetch(store: "Store", row: Mapping[str, Any], into: Path) -> str:
    """Write the source of a row to `into`, going on where an earlier try stopped; the version that was fetched.

    Raises MediaError when it cannot be had, MachineError when the network fails.
    """
    outer, member = split_member(row["uri"])
    scheme = scheme_of(outer)
    if member is None:
        return _whole(store, row, into, scheme)
    version, offset = tar.place(row["version"])
    if scheme in BUCKETS:
        bucket.download(outer, version, into, store.settings, offset, row["bytes"])
    elif scheme in WEB:
        held = store.get({"uri": outer, "name": row["name"].partition("#")[0], "version": version})
        _check(row["name"], version, held.version)
        _copy_range(held.path, offset, row["bytes"], into)
    else:
        _copy_range(_tar_path(outer, version, row["name"]), offset, row["bytes"], into)
    return str(row["version"])


def _whole(store: "Store", row: Mapping[str, Any], into: Path, scheme: str) -> str:
    uri, web = row["uri"], Web(store.root, store.settings)
    if scheme in WEB:
        return download(web, uri, into)
    if scheme in BUCKETS:
        return bucket.download(uri, row["version"], into, store.settings)
    if scheme == YTDLP:
        page = uri.removeprefix(f"{YTDLP}:")
        return retry.again(lambda: _page(web, page, into), store.settings)
    raise MediaError("source:scheme", f"{uri}: there is no way to fetch {scheme!r} sources")


def _page(web: Web, page: str, into: Path) -> str:
    with web.hosts.turn(host_of(page), web.permit(page)):
        return ytdlp.download(page, into, web.settings)


def _tar_path(uri: str, version: str, name: str) -> Path:
    path = local_path(uri)
    try:
        now = f"mtime:{path.stat().st_mtime_ns}"
    except OSError as error:
        raise MediaError("source:gone", f"the tar of {name} cannot be read: {error.strerror}") from None
    _check(name, version, now)
    return path


def _check(name: str, version: str, now: str) -> None:
    if now != version:
        raise MediaError("media:changed", f"the tar of {name} was replaced: ingest it again")


def _copy_range(path: Path, offset: int, size: int, into: Path) -> None:
    with path.open("rb") as source, into.open("wb") as target:
        source.seek(offset)
        left = size
        while left and (data := source.read(min(left, _CHUNK))):
            target.write(data)
            left -= len(data)
    if left:
        raise MediaError("media:truncated", f"{os.path.basename(path)} ends {left} bytes before its member does")  # noqa: PTH119
