"""A row of the listing: one source, where it is, which version of it was seen, and what is said of its rights."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from manifests.errors import printable
from manifests.ids import digest

Row = dict[str, Any]
"""A row of the listing table, less its revision; and `silent`."""
FIELDS = ("licence", "attribution", "url", "transcript")
ALIASES = {"license": "licence", "source": "url"}
_SPELLINGS = {name: name for name in (*FIELDS, "source")} | {"license": "licence"}
_FILE = {"file", "file_name", "filename"}
_HALVES = re.compile("[\ud800-\udfff]")
"""Halves of characters, which JSON may hold and UTF-8 may not."""


def entry(
    uri: str,
    name: str,
    size: int | None,
    version: str,
    notes: Mapping[str, str | None] | None = None,
    refused: str | None = None,
) -> Row:
    """The listing row of a source.

    size: bytes, None when unknown. version: `mtime:...`, `etag:...`, or "" when unknown until it is fetched.
    notes: FIELDS and `extra`; None where nobody says anything of sources (no list, no sidecar): the row is silent then,
    and what was said of the source before stands. refused: the code of why it will never be read.
    """
    said = notes or {}
    return {
        "source_key": digest(uri, "" if size is None else size, version),
        "uri": uri,
        "name": printable(name),
        "bytes": size,
        "version": version,
        **{field: said.get(field) for field in (*FIELDS, "extra")},
        "refused": refused,
        "silent": notes is None,
    }


def spelled(name: str, wanted: str) -> str:
    """The name, as it is here, of a column that means something (also `License`, `FILE`), and of any other its own.

    wanted: the column that a table must have; `file` is called `file_name` or `filename` elsewhere.
    """
    plain = name.strip().lower()
    return "file" if wanted == "file" and plain in _FILE else _SPELLINGS.get(plain, name)


def columns(names: Iterable[str], wanted: str) -> list[str]:
    """Names of the columns of a list or sidecar, `spelled`.

    Raises ValueError for names that stand there twice, or mean the same: only one of them would be heard.
    """
    given = list(names)
    found = [spelled(name, wanted) for name in given]
    twice = [name for name, meant in zip(given, found, strict=True) if meant and found.count(meant) > 1]
    if twice:
        raise ValueError(f"its columns {twice} are the same: keep one of them")
    return found


def notes_of(row: Mapping[str, Any], known: frozenset[str] = frozenset()) -> dict[str, str]:
    """What a row of a list or sidecar says: FIELDS as they are, the other columns but `known` as JSON in `extra`."""
    named = {key if ALIASES.get(key, key) in row else ALIASES[key]: row[key] for key in row if key and _said(row[key])}
    others = {key: value for key, value in named.items() if key not in FIELDS and key not in known}
    notes = {key: printable(str(named[key])) for key in FIELDS if key in named}
    if others:
        text = json.dumps(others, sort_keys=True, ensure_ascii=False, default=str)
        notes["extra"] = _HALVES.sub("\ufffd", text)  # an escape would be read as JSON's, and be a half again
    return notes


def _said(value: Any) -> bool:
    return value is not None and value != "" and not (isinstance(value, float) and not math.isfinite(value))
