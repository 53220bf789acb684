"""What `--source` may name, and the listing rows of it: a stream, in an order that is the same every time.

A folder or file (tars in it are opened; also as `file:///...`), a glob, `x-{00..10}.tar`; `s3://bucket/prefix`,
`gs://...`; a list of urls (.parquet, .csv, .tsv, .jsonl), local or in a bucket; one `https://...` url;
`ytdlp:https://...`.

A file is a list of urls only when the source is written with its suffix (`a.csv`, `lists/*.csv`). What a folder or
another pattern (`a/*`) happens to hold is never taken for one, and a sidecar that a pattern matches never at all.
"""

import glob
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from braceexpand import braceexpand

from manifests.errors import ConfigError
from pipeline.sources import local, remote, sidecar, urls, ytdlp
from pipeline.sources.entry import Row
from pipeline.sources.remarks import Remarks
from pipeline.sources.store import Store
from pipeline.sources.uris import BUCKETS, WEB, YTDLP, local_path, scheme_of


def rows(sources: Iterable[str | Path], store: Store) -> Iterator[Row]:
    """Rows of all the sources, in the order in which they are named.

    Raises ConfigError for one that is not there, BackendAbsent for a page without yt-dlp. What was passed over is said
    to people at the end.
    """
    remarks = Remarks()
    for source in sources:
        matched = False
        for one in _braced(_path_of(str(source))):
            if _is_local(one) and glob.has_magic(one) and not os.path.lexists(one):
                found = sorted(glob.glob(one, recursive=True))  # noqa: PTH207 (patterns may be absolute)
                matched |= bool(found)
                yield from _matched(one, found, store, remarks)
            else:
                matched = True
                yield from _rows(one, store, remarks)
        if not matched:
            raise ConfigError("source:missing", f"no file matches {str(source)!r}")
    remarks.say()


def _path_of(source: str) -> str:
    """The path that a `file://` uri stands for; any other source as it is."""
    if not source.startswith("file://"):
        return source
    if "#" in source:
        raise ConfigError("source:member", f"{source!r} is a member of a tar: give the tar itself")
    uri = source.replace("file://localhost/", "file:///", 1)
    if not uri.startswith("file:///"):
        raise ConfigError("source:scheme", f"{source!r} names another machine: give file:/// and the whole path")
    return str(local_path(uri))


def _braced(source: str) -> list[str]:
    """The sources that braces stand for; a name that exists as it is written stands for itself."""
    if "{" not in source or ".." not in source or (_is_local(source) and os.path.lexists(source)):
        return [source]
    return list(braceexpand(source))


def _matched(pattern: str, found: list[str], store: Store, remarks: Remarks) -> Iterator[Row]:
    """Rows of what a pattern matches."""
    plain = pattern[: re.search(r"[*?[]", pattern).start()]  # type: ignore[union-attr]
    sidecars = local.Sidecars(os.path.dirname(plain) or ".", remarks)  # noqa: PTH120
    for name in found:
        if urls.is_list(pattern) and os.path.isfile(name):  # noqa: PTH113
            if os.path.basename(name) not in sidecar.NAMES:  # noqa: PTH119
                yield from urls.listed(name, store)
        else:
            yield from local.walk(name, remarks, sidecars)


def _rows(source: str, store: Store, remarks: Remarks) -> Iterator[Row]:
    scheme = scheme_of(source)
    if _is_local(source):
        path = Path(source)
        if not path.exists():
            raise ConfigError("source:missing", f"source {source!r} does not exist: give a folder or a file")
        yield from (
            urls.listed(source, store) if urls.is_list(source) and path.is_file() else local.walk(source, remarks)
        )
    elif scheme in BUCKETS:
        yield from urls.listed(source, store) if urls.is_list(source) else remote.bucket(source, store, remarks)
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
