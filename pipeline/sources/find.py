"""What `--source` may name, and the listing rows of it: a stream, in an order that is the same every time.

A folder or file (tars in it are opened), a glob, `x-{00..10}.tar`; `s3://bucket/prefix`, `gs://...`; a list of urls
(.parquet, .csv, .tsv, .jsonl), local or in a bucket; one `https://...` url; `ytdlp:https://...`.
"""

import glob
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from braceexpand import braceexpand

from manifests.errors import ConfigError
from pipeline.sources import local, remote, urls, ytdlp
from pipeline.sources.entry import Row
from pipeline.sources.store import Store
from pipeline.sources.uris import BUCKETS, WEB, YTDLP, scheme_of


def rows(sources: Iterable[str | Path], store: Store) -> Iterator[Row]:
    """Rows of all the sources, in the order in which they are named.

    Raises ConfigError for one that is not there, BackendAbsent for a page without yt-dlp.
    """
    for source in sources:
        for one in _expanded(str(source)):
            yield from _rows(one, store)


def _expanded(source: str) -> list[str]:
    """The sources that braces and globs stand for; names that exist as they are written stand for themselves."""
    here = _is_local(source)
    if here and os.path.lexists(source):
        return [source]
    found = list(braceexpand(source)) if "{" in source and ".." in source else [source]
    if here:
        found = [name for one in found for name in (_globbed(one) if glob.has_magic(one) else [one])]
    if not found:
        raise ConfigError("source:missing", f"no file matches {source!r}")
    return found


def _globbed(pattern: str) -> list[str]:
    """What matches, sorted; a name that exists as it is written is no pattern."""
    if os.path.lexists(pattern):
        return [pattern]
    return sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 (patterns may be absolute)


def _rows(source: str, store: Store) -> Iterator[Row]:
    scheme = scheme_of(source)
    if _is_local(source):
        path = Path(source)
        if not path.exists():
            raise ConfigError("source:missing", f"source {source!r} does not exist: give a folder or a file")
        yield from urls.listed(source, store) if urls.is_list(source) and path.is_file() else local.walk(path)
    elif scheme in BUCKETS:
        yield from urls.listed(source, store) if urls.is_list(source) else remote.bucket(source, store)
    elif scheme in WEB:
        yield from remote.web_tar(source, store) if remote.is_web_tar(source) else [urls.row(source)]
    elif scheme == YTDLP:
        ytdlp.require()
        yield urls.row(source)
    else:
        known = ", ".join([*sorted(BUCKETS | WEB), YTDLP])
        raise ConfigError("source:scheme", f"{source!r}: known are paths and {known}")


def _is_local(source: str) -> bool:
    return "://" not in source and not source.startswith(f"{YTDLP}:")
