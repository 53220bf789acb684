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
from pipeline.sources import local
from pipeline.sources.entry import Row
from pipeline.sources.store import Store

LISTS = (".parquet", ".csv", ".tsv", ".jsonl")


def rows(sources: Iterable[str | Path], store: Store) -> Iterator[Row]:
    """Rows of all the sources, in the order in which they are named. Raises ConfigError for one that is not there."""
    for source in sources:
        for one in _expanded(str(source)):
            yield from _rows(one, store)


def _expanded(source: str) -> list[str]:
    """The sources that braces and globs stand for; names that exist as they are written stand for themselves."""
    local_name = "://" not in source and not source.startswith("ytdlp:")
    if local_name and os.path.lexists(source):
        return [source]
    found = list(braceexpand(source)) if "{" in source and ".." in source else [source]
    if local_name:
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
    path = Path(source.removeprefix("file://"))
    if not path.exists():
        raise ConfigError("source:missing", f"source {source!r} does not exist: give a folder or a file")
    yield from local.walk(path)
