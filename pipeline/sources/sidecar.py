"""The sidecar of a source folder: a table of licences, attributions and known transcripts, a row a file."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

from manifests.errors import ConfigError

NAMES = ("metadata.tsv", "metadata.csv", "metadata.jsonl", "MEDIA.tsv")
FIELDS = ("licence", "attribution", "url", "transcript")
_ALIASES = {"license": "licence", "source": "url"}


@dataclass(frozen=True)
class Notes:
    """What the sidecar says, by file name relative to the folder, and where it lies (it is not a source itself)."""

    of: dict[str, dict[str, str]]
    path: Path | None


def read(root: Path) -> Notes:
    """The first sidecar there is in `root`. Its column `file` names the file; other columns than FIELDS are left."""
    for name in NAMES:
        path = root / name
        if path.is_file():
            try:
                return Notes({row.get("file", ""): _fields(row) for row in _rows(path)}, path)
            except ValueError as error:  # not UTF-8, not JSON
                raise ConfigError(
                    "source:sidecar", f"{path} cannot be read ({error}): mend it or take it away"
                ) from None
    return Notes({}, None)


def _rows(path: Path) -> list[dict[str, str]]:
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return list(csv.DictReader(text.splitlines(), delimiter="\t" if path.suffix == ".tsv" else ","))


def _fields(row: dict[str, str]) -> dict[str, str]:
    named = {_ALIASES.get(key, key): value for key, value in row.items()}
    return {key: str(named[key]) for key in FIELDS if named.get(key)}
