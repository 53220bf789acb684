"""The sidecar of a folder or bucket of sources: a table of licences, attributions and transcripts, a row a file."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from manifests.errors import ConfigError
from pipeline.sources.entry import columns, notes_of, spelled
from pipeline.sources.hostile_json import object_of
from pipeline.sources.remarks import TWICE, Remarks

NAMES = ("metadata.tsv", "metadata.csv", "metadata.jsonl", "MEDIA.tsv")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class Notes:
    """What the sidecar says, by file name relative to the folder, and its own name (it is not a source itself)."""

    of: dict[str, dict[str, str]] = field(default_factory=dict)
    name: str | None = None


def read(load: Callable[[str], bytes | None], where: str, remarks: Remarks) -> Notes:
    """The first sidecar there is. `load` gives the bytes of a file of the folder, None when there is none.

    Its column `file` names the file. Raises ConfigError for one that cannot be parsed or has no such column; `where`
    names the folder. remarks: here goes what is named twice.
    """
    for name in NAMES:
        data = load(name)
        if data is not None:
            try:
                said = list(_said(io.StringIO(data.decode("utf-8-sig"), newline=""), name))
            except (ValueError, csv.Error) as error:  # not UTF-8, not JSON
                message = f"{where}/{name} cannot be read ({error}): mend it or take it away"
                raise ConfigError("source:sidecar", message) from None
            named = Counter(file for file, _ in said)
            remarks.add(TWICE, f"{where}/{name}", [file for file, count in named.items() if count > 1])
            return Notes(dict(said), name)
    return Notes()


def _said(lines: Iterable[str], name: str) -> Iterator[tuple[str, dict[str, str]]]:
    for number, row in enumerate(parse(lines, name, "file"), start=1):
        if row is None:  # passed over, it would take a file's licence with it without a word
            raise ValueError(f"row {number} is no JSON object, or has more fields than there are columns")
        if "file" not in row:
            raise ValueError(f"row {number} has no 'file', only {sorted(row)}")
        yield str(row["file"] or ""), notes_of(row, frozenset({"file"}))


def parse(lines: Iterable[str], name: str, wanted: str) -> Iterator[dict[str, Any] | None]:
    """Rows of a .tsv, .csv or .jsonl text, one at a time; None for a line of JSON that holds no object (see there), and
    for a row with more fields than there are columns (a comma that is not quoted): nobody knows which is which.

    Columns are named as `entry.columns` does. Raises ValueError for a table without the column `wanted`, or one that
    is against the rules of quoting: read on, a stray quote would swallow the rows up to the next one.
    """
    yield from _objects(lines, wanted) if name.endswith(".jsonl") else _table(lines, name, wanted)


def _objects(lines: Iterable[str], wanted: str) -> Iterator[dict[str, Any] | None]:
    for line in lines:
        if line.strip():
            found = object_of(line)
            yield None if found is None else dict(zip(columns(found, wanted), found.values(), strict=True))


def _table(lines: Iterable[str], name: str, wanted: str) -> Iterator[dict[str, Any] | None]:
    rest = iter(lines)
    header = next(rest, "")
    reader = csv.DictReader(chain([header], rest), delimiter=_delimiter(header, name, wanted), strict=True)
    line = 1
    try:
        given = list(reader.fieldnames or [])
        reader.fieldnames = columns(given, wanted)
        if wanted not in reader.fieldnames:
            raise ValueError(f"it has no column {wanted!r}, only {given}")
        line = reader.line_num + 1
        for row in reader:
            yield None if None in row else row
            line = reader.line_num + 1
    except csv.Error as error:
        fix = (
            'a field that begins with a quote needs its end, or stands in quotes with its own ones doubled: """so"" it"'
        )
        raise ValueError(f"the row at line {line}: {error}; {fix}") from None


def _delimiter(header: str, name: str, wanted: str) -> str:
    """What the suffix says or, when the header then has no column `wanted`, what gives it one."""
    usual = "\t" if name.endswith(".tsv") else ","
    for one in usual + _DELIMITERS:
        if wanted in (spelled(field.strip().strip('"'), wanted) for field in header.split(one)):
            return one
    return usual
