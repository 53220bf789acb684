"""Fold the small files of a bucket into few large ones, and remove what an earlier folding has replaced.

A folded file is published first, then the manifest that names it (create-if-absent, numbered): that is the commit. What
the manifest replaces goes only at a later compaction, when the manifest has been there for a while, so that whoever had
listed the old files can read them to the end. Killed at any moment, nothing is lost; of two at once, one commits.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import methodcaller
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files, folded
from manifests.files import AnyPath
from manifests.folded import Place, Survey
from manifests.ids import digest
from manifests.table import Table

LEAST = 128 << 20
"""Bytes from which a folded file is left as it is."""
MOST = 512 << 20
"""Bytes that a folded file has at most, as long as its parts have less each."""
KEEP_S = 3600.0
"""Replaced files are kept so long, for readers that listed them before."""

GROUP_ROWS, GROUP_BYTES = 8_000, 32 << 20
"""A row group of a folded file has as many whole parts as it takes to reach one of these, in memory. Measured on rows
of measures: asking for three columns costs half of what it costs with groups of 1,000, and no less with larger ones."""

Piece = tuple[str, Place]


@dataclass(frozen=True)
class Compacted:
    """What one compaction of one bucket did: parts folded anew, files written, files removed."""

    parts: int = 0
    written: int = 0
    removed: int = 0


def compact(table: Table, bucket: int | None, keep_s: float = KEEP_S, most: int = MOST) -> Compacted:
    """Fold the parts of one bucket. Does nothing where one file holds all that is not in large ones already."""
    folder = table.folder_of(bucket)
    held = folded.survey(folder)
    removed = _clean(folder, held, keep_s)
    try:
        parts, written = _fold(table, folder, held, most)
    except FileNotFoundError:  # another compaction has replaced and removed what this one was reading
        parts, written = 0, 0
    return Compacted(parts, written, removed)


def _clean(folder: AnyPath, held: Survey, keep_s: float) -> int:
    """Remove what the manifest that counts has replaced, once it is old enough; how many files."""
    manifest = held.manifest
    if not manifest.number or time.time() - manifest.made_s < keep_s:
        return 0
    revisions = {part: revision for _, part, revision, *_ in manifest.spans()}
    gone = [name for name in held.names if _is_replaced(name, manifest, revisions)]
    for name in gone:
        files.remove(folder / name)
    return len(gone)


def _is_replaced(name: str, manifest: folded.Manifest, revisions: dict[str, int]) -> bool:
    """A folded file of a higher number may belong to a compaction at work, whose manifest is not there yet."""
    if loose := folded.loose_of(name):
        return loose[1] <= revisions.get(loose[0], -1)
    if number := folded.fold_number(name):
        return number <= manifest.number and name not in manifest.files
    return 0 < (folded.manifest_number(name) or 0) < manifest.number


def _fold(table: Table, folder: AnyPath, held: Survey, most: int) -> tuple[int, int]:
    """Write folded files of everything that is not in a full one, and commit them; (parts, files)."""
    stale = {span.file for span in held.hidden}
    sizes = {place.path.name: files.size(place.path) for place in held.places.values()}
    full = {name for name in held.manifest.files if sizes.get(name, 0) >= min(LEAST, most) and name not in stale}
    pieces = sorted((part, place) for part, place in held.places.items() if place.path.name not in full)
    sources = {place.path.name for _, place in pieces}
    if len(sources) < 2 and not sources & stale:
        return 0, 0
    number = held.manifest.number + 1
    made = {name: held.manifest.files[name] for name in sorted(full)}
    groups = _groups(pieces, sizes, most)
    for group in groups:
        stated = [f"{part}{folded.REVISION}{place.revision}" for part, place in group]
        name = f"fold-{number:05d}-{digest(*stated).hex()[:16]}{folded.SUFFIX}"
        made[name] = _write(table, folder / name, group)
    note = json.dumps({"made_s": time.time(), "files": made}).encode()
    won = files.publish(folder / f"manifest-{number:05d}.json", methodcaller("write", note))
    return (len(pieces), len(groups)) if won else (0, 0)


def _groups(pieces: Sequence[Piece], sizes: dict[str, int], most: int) -> list[list[Piece]]:
    """The pieces, in order, in groups of at most `most` bytes (or one piece)."""
    sharing: dict[str, int] = {}
    for _, place in pieces:
        sharing[place.path.name] = sharing.get(place.path.name, 0) + 1
    groups: list[list[Piece]] = []
    total = 0.0
    for part, place in pieces:
        size = sizes[place.path.name] / sharing[place.path.name]
        if not groups or total + size > most:
            groups.append([])
            total = 0.0
        groups[-1].append((part, place))
        total += size
    return groups


def _write(table: Table, path: AnyPath, group: Sequence[Piece]) -> list[tuple[str, int, int]]:
    """Publish a folded file; its (part, revision, rows), in order. Holds one row group at a time."""
    entries: list[tuple[str, int, int]] = []

    def parts() -> Iterator[pa.Table]:
        for part, place in group:
            rows = pa.concat_tables(folded.read([place], table.schema))
            entries.append((part, place.revision, len(rows)))
            yield rows

    def fill(file: BinaryIO) -> None:
        entries.clear()
        with pq.ParquetWriter(file, table.schema, compression="zstd") as writer:
            for rows in row_groups(parts()):
                writer.write_table(rows, row_group_size=len(rows))

    if not files.publish(path, fill):  # one that was killed, or is at work beside this one, wrote the same
        entries[:] = [(part, place.revision, folded.count(place)) for part, place in group]
    return entries


def row_groups(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The rows of the parts, in order, as the row groups of one file; empty parts leave no trace."""
    held: list[pa.Table] = []
    for rows in parts:
        held += [rows] if len(rows) else []
        if sum(map(len, held)) >= GROUP_ROWS or sum(one.nbytes for one in held) >= GROUP_BYTES:
            yield pa.concat_tables(held)
            held = []
    if held:
        yield pa.concat_tables(held)
