"""The sidecar of a folder or bucket of sources: a table of licences, attributions and transcripts, a row a file."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from manifests.errors import ConfigError
from pipeline.sources.entry import notes_of

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
                found = parse(io.StringIO(data.decode("utf-8")), name)
                return Notes({str(row.get("file", "")): notes_of(row, frozenset({"file"})) for row in found}, name)
            except (ValueError, csv.Error) as error:  # not UTF-8, not JSON
                message = f"{where}/{name} cannot be read ({error}): mend it or take it away"
                raise ConfigError("source:sidecar", message) from None
    return Notes()


def parse(lines: Iterable[str], name: str) -> Iterator[dict[str, Any]]:
    """Rows of a .tsv, .csv or .jsonl text, one at a time. Raises ValueError for a line that is no JSON object."""
    if not name.endswith(".jsonl"):
        yield from csv.DictReader(lines, delimiter="\t" if name.endswith(".tsv") else ",")
        return
    for line in lines:
        if line.strip():
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(f"a line holds {type(row).__name__}, not an object")
            yield row
