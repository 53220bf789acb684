"""Lists of urls: a table with a column `url`; licence, attribution, transcript and any other column travel along."""

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.errors import ConfigError, MediaError, printable
from pipeline.sources import bucket, sidecar, ytdlp
from pipeline.sources.entry import Row, columns, entry, notes_of
from pipeline.sources.store import Store
from pipeline.sources.uris import BUCKETS, WEB, YTDLP, scheme_of

BAD = "source:bad_url"
_SUFFIXES = (".parquet", ".csv", ".tsv", ".jsonl")
_BATCH = 10_000
_BLOCK = 1 << 20


def is_list(name: str) -> bool:
    """True for names of lists of urls."""
    return name.lower().endswith(_SUFFIXES)


def listed(source: str, store: Store) -> Iterator[Row]:
    """A row a row of the list, whatever is in it: one that cannot be read or fetched is listed as refused.

    Raises ConfigError for a list that cannot be read or has no column `url`.
    """
    where = printable(source)  # the whole of it: lists of one name may lie in two folders
    number, is_known = 0, False
    try:
        with _opened(source) as file:
            for number, row in enumerate(_rows(file, source), start=1):
                if row and not is_known:
                    _check_columns(row, source)
                    is_known = True
                yield _row(row or {}, f"{where} row {number}")
        if number and not is_known:
            raise ValueError(f"none of its {number} rows is one")
    except (OSError, ValueError, csv.Error, pa.ArrowException, MediaError) as error:
        raise ConfigError("source:list", f"{source} cannot be read as a list of urls: {error}") from None


def _check_columns(row: dict[str, Any], source: str) -> None:
    if "url" not in row:
        raise ConfigError("source:list", f"{source} has no column 'url', only {sorted(map(str, row))}")


def row(url: str) -> Row:
    """The row of one url without any notes but itself."""
    return _row({"url": url}, url)


def _opened(source: str) -> contextlib.AbstractContextManager[IO[bytes]]:
    return bucket.open_object(source, _BLOCK) if scheme_of(source) in BUCKETS else Path(source).open("rb")


def _rows(file: IO[bytes], name: str) -> Iterator[dict[str, Any] | None]:
    if name.lower().endswith(".parquet"):
        table = pq.ParquetFile(file)
        names = columns(table.schema_arrow.names, "url")
        for batch in table.iter_batches(_BATCH):
            yield from batch.rename_columns(names).to_pylist()
    else:
        text = io.TextIOWrapper(cast(Any, file), encoding="utf-8-sig", newline="")
        yield from sidecar.parse(text, name.lower(), "url")


def _row(said: dict[str, Any], where: str) -> Row:
    url = str(said.get("url") or "").strip().partition("#")[0]
    notes = notes_of({**said, "url": url})
    if not _can_be_fetched(url):
        return entry(f"list:{where}", f"{where}: {url or 'no url'}", None, "", notes, BAD)
    if scheme_of(url) == YTDLP:
        ytdlp.require()
    parts = urlsplit(url.removeprefix(f"{YTDLP}:"))
    listed = entry(url, unquote(f"{parts.netloc.rpartition('@')[2]}{parts.path}"), None, "", notes)
    return {**listed, "silent": said.keys() <= {"url"}}


def _can_be_fetched(url: str) -> bool:
    with contextlib.suppress(ValueError):
        parts = urlsplit(url.removeprefix(f"{YTDLP}:"))
        return parts.scheme in WEB | BUCKETS and bool(parts.hostname) and (parts.port or 1) > 0 and url.isprintable()
    return False
