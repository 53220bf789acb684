"""A table: Parquet files, one a part, under `tables/<name>/<recipe>/<bucket>/`. Publishing a part's file is its commit.

A part may be revised (`klear retry`): `<part>~1.parquet` supersedes `<part>.parquet` from the moment it exists. Parts
may be folded into files of many (`klear compact`, see folded.py): they stay published, at the same revision. Files are
never changed.
"""

from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import files, folded, parts
from manifests.errors import KlearError
from manifests.files import AnyPath, publish
from manifests.folded import REVISION, SUFFIX, Place, Survey, read_file

__all__ = ["Table", "read_file"]

_TRIES = 20


@dataclass(frozen=True)
class Table:
    """One producer's table under one recipe. `schema` is what every part must have."""

    root: AnyPath
    name: str
    recipe: str
    schema: pa.Schema

    @property
    def folder(self) -> AnyPath:
        """Where the parts lie. Half of the recipe is enough of a name; the rows carry it whole."""
        return self.root / self.name / self.recipe[:16]

    def path(self, part: str) -> AnyPath:
        """The file in which a part is published: a function of (table, recipe, part) alone."""
        return self.folder_of(parts.bucket_of(part)) / f"{part}{SUFFIX}"

    def folder_of(self, bucket: int | None) -> AnyPath:
        """Where the files of a bucket lie; those of no bucket lie above them."""
        return self.folder if bucket is None else self.folder / f"b{bucket:04x}"

    def buckets(self) -> list[int | None]:
        """Buckets that hold something, in order; None stands for the parts that have no bucket."""
        found = [int(name[1:], 16) for name in files.folders(self.folder) if name[0] == "b"]
        return [None, *found]

    def survey(self, bucket: int | None) -> Survey:
        """What lies in the folder of a bucket: its parts, loose and folded, by one listing."""
        return folded.survey(self.folder_of(bucket))

    def places(self, bucket: int | None) -> dict[str, Place]:
        """Part -> where its newest rows lie, of one bucket."""
        return self.survey(bucket).places

    def all_places(self) -> dict[str, Place]:
        """Part -> where its newest rows lie, of all buckets."""
        return {part: place for bucket in self.buckets() for part, place in self.places(bucket).items()}

    def published(self) -> set[str]:
        """Names of the committed parts."""
        return set(self.all_places())

    def state(self) -> list[str]:
        """Names of the committed parts with their revisions: what a query over this table depends on."""
        found = self.all_places().items()
        return sorted(f"{part}{REVISION}{place.revision}" if place.revision else part for part, place in found)

    def counts(self) -> dict[str, int]:
        """Rows of each committed part, from the ends of the files."""
        return {part: folded.count(place) for part, place in self.all_places().items()}

    def has(self, part: str) -> bool:
        """Whether a part is committed."""
        return files.exists(self.path(part)) or part in self.places(parts.bucket_of(part))

    def publish(self, part: str, rows: Iterable[dict]) -> bool:
        """Commit a part, sorted by its first column. False when someone else had: then theirs stays."""
        return self.publish_table(part, pa.Table.from_pylist(list(rows), schema=self.schema))

    def publish_table(self, part: str, table: pa.Table, known: Container[str] | None = None) -> bool:
        """`publish`, of an Arrow table with this table's columns. known: what `published` said a moment ago; else the
        part's folder is listed, which for thousands of parts in one folder grows with their square."""
        there = self.has(part) if known is None else part in known
        return not there and publish(self.path(part), lambda file: self._write(table, file))

    def revise(self, part: str, rows: Iterable[dict]) -> None:
        """Supersede a committed part by these rows, all of them."""
        new = list(rows)
        self.amend(part, lambda old: new)

    def amend(self, part: str, change: Callable[[pa.Table], list[dict] | None]) -> None:
        """Revise a committed part by a function of its rows, which are read again when someone else was faster. None
        leaves it as it is. Raises KlearError `table:contended` when that happens again and again."""
        for _ in range(_TRIES):
            place = self.places(parts.bucket_of(part))[part]
            rows = change(self._read({part: place}))
            if rows is None or self._supersede(part, place.revision + 1, rows):
                return
        raise KlearError("table:contended", f"{self.name} {part} was revised by others {_TRIES} times: run this again")

    def _supersede(self, part: str, revision: int, rows: list[dict]) -> bool:
        table = pa.Table.from_pylist(rows, schema=self.schema)
        return publish(self.path(f"{part}{REVISION}{revision}"), lambda file: self._write(table, file))

    def _write(self, table: pa.Table, file: object) -> None:
        table = table.select(self.schema.names).cast(self.schema)
        if not _in_order(table.column(0)):
            table = table.sort_by(self.schema.names[0])
        pq.write_table(table, file, compression="zstd")

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """All committed rows. Empty when nothing is committed. For small tables: the rest are asked in SQL."""
        return self._read(self.all_places(), columns)

    def read_part(self, part: str) -> pa.Table:
        """The rows of one committed part."""
        return self._read({part: self.places(parts.bucket_of(part))[part]})

    def read_bucket(self, bucket: int | None, columns: list[str] | None = None) -> pa.Table:
        """All committed rows of one bucket."""
        return self._read(self.places(bucket), columns)

    def read_keys(self, part: str, keys: Iterable[bytes], columns: list[str] | None = None) -> dict[bytes, dict]:
        """Rows of the given keys (first column) by key. Opens the files of the bucket whose range meets the part's."""
        key, wanted = self.schema.names[0], pa.array(list(keys), self.schema.types[0])
        found: dict[bytes, dict] = {}
        for table in self._meeting(part, columns):
            rows = table.filter(pc.is_in(table[key], wanted)).to_pylist()
            found |= {row[key]: row for row in rows}
        return found

    def _meeting(self, part: str, columns: list[str] | None) -> Iterator[pa.Table]:
        near = [p for name, p in sorted(self.places(parts.bucket_of(part)).items()) if parts.may_meet(name, part)]
        yield from folded.read(near, self.schema, columns)

    def _read(self, places: dict[str, Place], columns: list[str] | None = None) -> pa.Table:
        schema = self.schema if columns is None else pa.schema([self.schema.field(c) for c in columns])
        tables = list(folded.read([place for _, place in sorted(places.items())], self.schema, columns))
        return pa.concat_tables(tables) if tables else schema.empty_table()


def _in_order(keys: pa.ChunkedArray) -> bool:
    """Whether keys, none of which is NULL, already rise: looking costs a tenth of sorting whole rows."""
    return len(keys) < 2 or bool(pc.all(pc.less_equal(keys.slice(0, len(keys) - 1), keys.slice(1))).as_py())
