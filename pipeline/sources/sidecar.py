"""The sidecar of a folder or bucket of sources: a table of licences, attributions and transcripts, a row a file."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from manifests.errors import ConfigError
from pipeline.sources.entry import notes_of
from pipeline.sources.hostile_json import object_of

NAMES = ("metadata.tsv", "metadata.csv", "metadata.jsonl", "MEDIA.tsv")


@dataclass(frozen=True)
class Notes:
    """What the sidecar says, by file name relative to the folder, and its own name (it is not a source itself)."""

    of: dict[str, dict[str, str]] = field(default_factory=dict)
    name: str | None = None


def read(load: Callable[[str], bytes | None], where: str) -> Notes:
    """The first sidecar there is. `load` gives the bytes of a file of the folder, None when there is none.

    Its column `file` names the file. Raises ConfigError for one that cannot be parsed; `where` names the folder.
    """
    for name in NAMES:
        data = load(name)
        if data is not None:
            try:
                return Notes(dict(_said(io.StringIO(data.decode("utf-8")), name)), name)
            except (ValueError, csv.Error) as error:  # not UTF-8, not JSON
                message = f"{where}/{name} cannot be read ({error}): mend it or take it away"
                raise ConfigError("source:sidecar", message) from None
    return Notes()


def _said(lines: Iterable[str], name: str) -> Iterator[tuple[str, dict[str, str]]]:
    for number, row in enumerate(parse(lines, name)):
        if row is None:  # passed over, it would take a file's licence with it without a word
            raise ValueError(f"row {number + 1} is no JSON object")
        yield str(row.get("file", "")), notes_of(row, frozenset({"file"}))


def parse(lines: Iterable[str], name: str) -> Iterator[dict[str, Any] | None]:
    """Rows of a .tsv, .csv or .jsonl text, one at a time; None for a line of JSON that holds no object (see there)."""
    if not name.endswith(".jsonl"):
        yield from csv.DictReader(lines, delimiter="\t" if name.endswith(".tsv") else ",")
        return
    for line in lines:
        if line.strip():
            yield object_of(line)
