"""Find a clip or a source by what a person has of it: the beginning of an id, a name, a uri."""

import re
from typing import Any

from manifests.catalog import Catalog
from manifests.errors import ConfigError
from manifests.ids import SIZE
from manifests.query import connect, groups

_HEX = re.compile(r"^[0-9a-f]{1,32}$")


def find_clip(catalog: Catalog, prefix: str) -> dict[str, Any]:
    """The row of the clip whose id begins with `prefix` (hex). Looks a few buckets at a time.

    Raises ConfigError when there is none, or more than one.
    """
    catalog.require("clips", "ingest")
    low, high = _range(prefix, "clip")
    found: list[dict[str, Any]] = []
    for some in groups(catalog):
        con = connect(catalog, some, "clips")
        con.execute("SELECT * FROM all_clips WHERE clip_id BETWEEN ? AND ? LIMIT 3", [low, high])
        names = [column[0] for column in con.description or []]
        found += [dict(zip(names, row, strict=True)) for row in con.fetchall()]
        if len(found) > 1:
            break
    return _only(found, "clip", prefix, [row["clip_id"].hex() for row in found])


def find_source(catalog: Catalog, text: str) -> dict[str, Any]:
    """The row of `sources` by the beginning of its source_id or source_key, or by its name or uri as a whole.

    Raises ConfigError when there is none, or more than one.
    """
    catalog.require("sources", "ingest")
    con = connect(catalog, asked="sources")
    where = "name = ? OR uri = ?"
    values: list[str | bytes] = [text, text]
    if _HEX.match(text):
        where += " OR source_id BETWEEN ? AND ? OR source_key BETWEEN ? AND ?"
        values += 2 * _range(text, "source")
    con.execute(f"SELECT * FROM sources WHERE {where} LIMIT 3", values)
    names = [column[0] for column in con.description or []]
    found = [dict(zip(names, row, strict=True)) for row in con.fetchall()]
    return _only(found, "source", text, [row["source_key"].hex() for row in found])


def _range(prefix: str, what: str) -> tuple[bytes, bytes]:
    """The first and the last id that begins with these hex digits."""
    if not _HEX.match(prefix.lower()):
        raise ConfigError("find:id", f"{prefix!r} is no {what} id: give the first hex digits of one, e.g. 3fa9c1")
    low, high = prefix.lower().ljust(2 * SIZE, "0"), prefix.lower().ljust(2 * SIZE, "f")
    return bytes.fromhex(low), bytes.fromhex(high)


def _only(found: list[dict[str, Any]], what: str, text: str, ids: list[str]) -> dict[str, Any]:
    if not found:
        raise ConfigError("find:none", f"no {what} {text!r} in this output folder")
    if len(found) > 1:
        raise ConfigError("find:many", f"{text!r} is more than one {what}: {', '.join(ids)}, ...; give more digits")
    return found[0]
