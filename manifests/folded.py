"""Where the rows of each part lie: in a file of its own, or in a folded file that a numbered manifest names.

    b0012/<part>.parquet, <part>~1.parquet    loose: as published; the highest revision counts
    b0012/fold-00002-<digest>.parquet         many parts, one after the other
    b0012/manifest-00002.json                 the parts in which folded files, and at which revision

The manifest with the highest number counts. A loose file of a higher revision than the folded one supersedes it.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, groupby

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files
from manifests.files import AnyPath

SUFFIX = ".parquet"
REVISION = "~"
_MANIFEST = re.compile(r"^manifest-([0-9]{5})\.json$")
_FOLD = re.compile(r"^fold-([0-9]{5})-[0-9a-f]+\.parquet$")
_TRIES = 5
Span = tuple[int, int]


@dataclass(frozen=True)
class Place:
    """Where a part's newest rows lie. rows: [start, end) of the file's, None for all of them."""

    path: AnyPath
    revision: int
    rows: Span | None = None


@dataclass(frozen=True)
class Hidden:
    """Rows [start, end) of a folded file that a revision has superseded."""

    file: str
    start: int
    end: int


@dataclass(frozen=True)
class Manifest:
    """One numbered manifest; number 0 stands for none. files: folded file -> (part, revision, rows), in order."""

    number: int = 0
    made_s: float = 0.0
    files: Mapping[str, list[tuple[str, int, int]]] = field(default_factory=dict)

    def spans(self) -> Iterator[tuple[str, str, int, int, int]]:
        """(file, part, revision, first row, end row) of every folded part."""
        for name, entries in self.files.items():
            start = 0
            for part, revision, count in entries:
                yield name, part, revision, start, start + count
                start += count


@dataclass(frozen=True)
class Survey:
    """What lies in one folder. names: of all its files. places: by part. hidden: what readers of whole files skip."""

    manifest: Manifest
    names: list[str]
    places: dict[str, Place]
    hidden: list[Hidden]


def survey(folder: AnyPath) -> Survey:
    """Look at the folder of a bucket: one listing, and its manifest if it has one."""
    for attempt in range(_TRIES):
        names = files.names(folder)
        try:
            manifest = newest_manifest(folder, names)
        except FileNotFoundError:  # removed since the listing: a newer one is there
            if attempt + 1 == _TRIES:
                raise
            continue
        return _survey(folder, names, manifest)
    raise AssertionError("unreachable")


def _survey(folder: AnyPath, names: list[str], manifest: Manifest) -> Survey:
    loose: dict[str, Place] = {}
    for name in names:
        if found := loose_of(name):
            part, revision = found
            if part not in loose or revision > loose[part].revision:
                loose[part] = Place(folder / name, revision)
    places: dict[str, Place] = {}
    hidden: list[Hidden] = []
    paths = {name: folder / name for name in manifest.files}  # one of many parts: making paths is what takes long here
    for name, part, revision, start, end in manifest.spans():
        if part in loose and loose[part].revision > revision:
            hidden.append(Hidden(name, start, end))
        else:
            places[part] = Place(paths[name], revision, (start, end))
    return Survey(manifest, names, loose | places, [span for span in hidden if span.end > span.start])


def loose_of(name: str) -> tuple[str, int] | None:
    """(part, revision) of the name of a loose file, None for names of other kinds."""
    stem, dot, _ = name.rpartition(SUFFIX)
    if not dot or _FOLD.match(name):
        return None
    part, _, revision = stem.partition(REVISION)
    return part, int(revision or 0)


def fold_number(name: str) -> int | None:
    """The number of the manifest that a folded file was written for, None for names of other kinds."""
    found = _FOLD.match(name)
    return int(found[1]) if found else None


def manifest_number(name: str) -> int | None:
    """The number of a manifest's name, None for names of other kinds."""
    found = _MANIFEST.match(name)
    return int(found[1]) if found else None


def newest_manifest(folder: AnyPath, names: Iterable[str]) -> Manifest:
    """The manifest that counts among the files `names` of a folder. Raises FileNotFoundError when it is gone by now."""
    number = max((manifest_number(name) or 0 for name in names), default=0)
    if not number:
        return Manifest()
    told = json.loads(files.read(folder / f"manifest-{number:05d}.json"))
    return Manifest(number, told["made_s"], {name: [tuple(e) for e in held] for name, held in told["files"].items()})


def read(places: Iterable[Place], schema: pa.Schema, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows at each place, in order, as tables of this schema; neighbours in one file are read together."""
    for path, group in groupby(places, key=lambda place: place.path):
        held = list(group)
        yield read_file(
            path, schema, columns, None if held[0].rows is None else [place.rows or (0, 0) for place in held]
        )


def count(place: Place) -> int:
    """How many rows lie at a place: of a loose part, from the end of its file."""
    if place.rows is not None:
        return place.rows[1] - place.rows[0]
    return files.again(lambda: _count(place.path), place.path)


def _count(path: AnyPath) -> int:
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        return int(parquet.metadata.num_rows)


def read_file(
    path: AnyPath, schema: pa.Schema, columns: list[str] | None = None, spans: Sequence[Span] | None = None
) -> pa.Table:
    """One Parquet file (or these rows of it) as a table of this schema; columns that the file lacks are NULL."""
    names = schema.names if columns is None else columns
    found = files.again(lambda: _read(path, names, spans), path)
    arrays = [found[n] if n in found.column_names else pa.nulls(found.num_rows, schema.field(n).type) for n in names]
    return pa.table(arrays, schema=pa.schema([schema.field(n) for n in names]))


def _read(path: AnyPath, names: list[str], spans: Sequence[Span] | None) -> pa.Table:
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        wanted = [name for name in names if name in parquet.schema_arrow.names]
        return parquet.read(columns=wanted) if spans is None else _read_spans(parquet, wanted, spans)


def _read_spans(parquet: pq.ParquetFile, columns: list[str], spans: Sequence[Span]) -> pa.Table:
    """Only the row groups that hold one of these rows are read."""
    sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
    edges = list(accumulate(sizes, initial=0))
    held = [i for i in range(len(sizes)) if any(start < edges[i + 1] and edges[i] < end for start, end in spans)]
    table = parquet.read_row_groups(held, columns=columns)
    left_out = list(accumulate((size * (i not in held) for i, size in enumerate(sizes)), initial=0))
    places = [(start - left_out[bisect_right(edges, start) - 1], end - start) for start, end in spans if end > start]
    return pa.concat_tables([table.slice(start, count) for start, count in places] or [table.slice(0, 0)])
