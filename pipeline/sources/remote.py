"""Folders and tars that lie elsewhere: what is below a prefix of a bucket, and the members of remote tars."""

import contextlib
import fnmatch
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import unquote, urlsplit

from manifests.errors import ConfigError, MediaError
from pipeline.config import SourceSettings
from pipeline.sources import bucket as objects_of
from pipeline.sources import sidecar, tar
from pipeline.sources.bucket import Object
from pipeline.sources.entry import Row, entry
from pipeline.sources.remarks import NAMELESS, Remarks
from pipeline.sources.store import Store
from pipeline.sources.uris import bucket_uri, scheme_of

_BLOCK = 1 << 16
_AHEAD = 16
"""Remote tars whose headers are read at a time: each needs a request a member, and most of that is waiting."""


def bucket(source: str, store: Store, remarks: Remarks) -> Iterator[Row]:
    """Rows of `s3://bucket/prefix`: of the object of that name or, as in a folder, of all objects below it.

    A pattern (`*`, `?`, `[...]`) is matched against whole keys. remarks: here goes what is passed over.
    Raises ConfigError when there is nothing.
    """
    scheme, key, settings = scheme_of(source), source.partition("://")[2].rstrip("/"), store.settings
    base, wanted = _chosen(scheme, key, settings)
    where = f"{scheme}://{base}"
    notes = sidecar.read(lambda name: _load(bucket_uri(scheme, f"{base}/{name}"), settings), where, remarks)
    nameless, found = dict.fromkeys(notes.of), 0

    def each() -> Iterator[Rows]:
        for item in wanted:
            if item[0] != f"{base}/{notes.name}":
                name = item[0].removeprefix(f"{base}/")
                nameless.pop(name, None)
                yield _object(scheme, item, name, notes, settings)

    for row in _ahead(each()):
        found += 1
        yield row
    if not found:
        raise ConfigError("source:missing", f"{source} holds no object: check the bucket and the prefix")
    if base == key:  # of a pattern or one object, the rest is not asked for
        remarks.add(NAMELESS, f"{where}/{notes.name}", list(nameless))


def _chosen(scheme: str, key: str, settings: SourceSettings) -> tuple[str, Iterator[Object]]:
    """The folder that names are relative to, and the objects meant."""
    plain = key
    for mark in "*?[":
        plain = plain.partition(mark)[0]
    if plain != key:
        found = objects_of.objects(scheme, plain, settings)
        return plain.rpartition("/")[0], (item for item in found if fnmatch.fnmatchcase(item[0], key))
    one = next(objects_of.objects(scheme, key, settings), None)
    if one and one[0] == key:
        return key.rpartition("/")[0], iter([one])
    return key, objects_of.objects(scheme, f"{key}/", settings)


def _load(uri: str, settings: SourceSettings) -> bytes | None:
    with contextlib.suppress(MediaError):
        return objects_of.asked(lambda: objects_of.open_object(uri, _BLOCK).read(), uri, settings)
    return None


Rows = list[Row] | Callable[[], list[Row]]
"""Rows, or a way to get them that takes a while."""


def _object(scheme: str, item: Object, name: str, notes: sidecar.Notes, settings: SourceSettings) -> Rows:
    """The rows of an object: one, or those of a tar's members."""
    key, size, version = item
    uri, said = bucket_uri(scheme, key), notes.of.get(name, None if notes.name is None else {})
    if not tar.is_tar(name):
        return [entry(uri, name, size, version, said)]

    def members() -> list[Row]:
        with objects_of.open_object(uri, _BLOCK) as file:
            return list(tar.members(file, uri, name, size, version, said))

    return lambda: objects_of.asked(members, uri, settings)


def _ahead(items: Iterable[Rows]) -> Iterator[Row]:
    """All rows, in order; those that take a while are got a few at a time."""
    with ThreadPoolExecutor(_AHEAD) as pool:
        running: deque[Future[list[Row]] | list[Row]] = deque()
        for item in items:
            running.append(pool.submit(item) if callable(item) else item)
            if len(running) > _AHEAD:
                yield from _result(running.popleft())
        for one in running:
            yield from _result(one)


def _result(one: "Future[list[Row]] | list[Row]") -> list[Row]:
    return one.result() if isinstance(one, Future) else one


def is_web_tar(source: str) -> bool:
    """True for the url of a tar."""
    with contextlib.suppress(ValueError):  # no url at all
        return tar.is_tar(urlsplit(source).path)
    return False


def web_tar(source: str, store: Store) -> Iterator[Row]:
    """Rows of the members of a tar on the web, which is fetched whole to look into it."""
    name = unquote(urlsplit(source).path.rpartition("/")[2])
    held = store.get({"uri": source, "name": name, "version": ""})
    with held.path.open("rb") as file:
        yield from tar.members(file, source, name, held.size, held.version, {"url": source})
