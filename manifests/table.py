"""A table: Parquet files, one a part, under `tables/<name>/<recipe>/<bucket>/`. Publishing a part's file is its commit.

A part may be revised (`klear retry`): `<part>~1.parquet` supersedes `<part>.parquet` from the moment it exists. Files
are never changed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests import files, parts
from manifests.files import AnyPath, publish

SUFFIX = ".parquet"
REVISION = "~"


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
        """The file of a part: a function of (table, recipe, part) alone."""
        return self._folder_of(parts.bucket_of(part)) / f"{part}{SUFFIX}"

    def _folder_of(self, bucket: int | None) -> AnyPath:
        return self.folder if bucket is None else self.folder / f"b{bucket:04x}"

    def buckets(self) -> list[int | None]:
        """Buckets that hold something, in order; None stands for the parts that have no bucket."""
        found = [int(name[1:], 16) for name in files.folders(self.folder) if name[0] == "b"]
        return [None, *found]

    def files(self, bucket: int | None) -> dict[str, AnyPath]:
        """Part -> its newest file, of one bucket, by one listing."""
        folder = self._folder_of(bucket)
        newest: dict[str, tuple[int, str]] = {}
        for name in files.names(folder):
            stem, dot, _ = name.rpartition(SUFFIX)
            if dot:
                part, _, revision = stem.partition(REVISION)
                newest[part] = max(newest.get(part, (-1, "")), (int(revision or 0), name))
        return {part: folder / name for part, (_, name) in newest.items()}

    def all_files(self) -> dict[str, AnyPath]:
        """Part -> its newest file, of all buckets."""
        return {part: path for bucket in self.buckets() for part, path in self.files(bucket).items()}

    def published(self) -> set[str]:
        """Names of the committed parts."""
        return set(self.all_files())

    def state(self) -> list[str]:
        """Names of the committed parts with their revisions: what a query over this table depends on."""
        return sorted(path.name.removesuffix(SUFFIX) for path in self.all_files().values())

    def has(self, part: str) -> bool:
        """Whether a part is committed."""
        return files.exists(self.path(part)) or part in self.files(parts.bucket_of(part))

    def publish(self, part: str, rows: Iterable[dict]) -> bool:
        """Commit a part, sorted by its first column. False when someone else had: then theirs stays."""
        return self.publish_table(part, pa.Table.from_pylist(list(rows), schema=self.schema))

    def publish_table(self, part: str, table: pa.Table) -> bool:
        """`publish`, of an Arrow table with this table's columns."""
        return publish(self.path(part), lambda file: self._write(table, file))

    def revise(self, part: str, rows: Iterable[dict]) -> None:
        """Supersede a committed part by these rows, all of them."""
        revision = _revision(self.files(parts.bucket_of(part))[part]) + 1
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        publish(self.path(f"{part}{REVISION}{revision}"), lambda file: self._write(table, file))

    def _write(self, table: pa.Table, file: object) -> None:
        table = table.select(self.schema.names).cast(self.schema)
        if table.num_rows:
            table = table.sort_by(self.schema.names[0])
        pq.write_table(table, file, compression="zstd")

    def read(self, columns: list[str] | None = None) -> pa.Table:
        """All committed rows. Empty when nothing is committed. For small tables: the rest are asked in SQL."""
        found = sorted(self.all_files().items())
        return self._concat([read_file(path, self.schema, columns) for _, path in found], columns)

    def read_part(self, part: str) -> pa.Table:
        """The rows of one committed part."""
        return read_file(self.files(parts.bucket_of(part))[part], self.schema)

    def read_bucket(self, bucket: int | None, columns: list[str] | None = None) -> pa.Table:
        """All committed rows of one bucket."""
        found = sorted(self.files(bucket).items())
        return self._concat([read_file(path, self.schema, columns) for _, path in found], columns)

    def read_keys(self, part: str, keys: Iterable[bytes], columns: list[str] | None = None) -> dict[bytes, dict]:
        """Rows of the given keys (first column) by key. Opens the files of the bucket whose range meets the part's."""
        key, wanted = self.schema.names[0], pa.array(list(keys), self.schema.types[0])
        found: dict[bytes, dict] = {}
        for table in self._meeting(part, columns):
            rows = table.filter(pc.is_in(table[key], wanted)).to_pylist()
            found |= {row[key]: row for row in rows}
        return found

    def _meeting(self, part: str, columns: list[str] | None) -> Iterator[pa.Table]:
        for name, path in sorted(self.files(parts.bucket_of(part)).items()):
            if parts.may_meet(name, part):
                yield read_file(path, self.schema, columns)

    def _concat(self, tables: list[pa.Table], columns: list[str] | None) -> pa.Table:
        schema = self.schema if columns is None else pa.schema([self.schema.field(c) for c in columns])
        return pa.concat_tables(tables) if tables else schema.empty_table()


def read_file(path: AnyPath, schema: pa.Schema, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file as a table of this schema; columns that the file lacks are NULL."""
    names = schema.names if columns is None else columns
    found = files.again(lambda: _read(path, names), path)
    arrays = [found[n] if n in found.column_names else pa.nulls(found.num_rows, schema.field(n).type) for n in names]
    return pa.table(arrays, schema=pa.schema([schema.field(n) for n in names]))


def _read(path: AnyPath, names: list[str]) -> pa.Table:
    with path.open("rb") as file, pq.ParquetFile(file) as parquet:
        return parquet.read(columns=[name for name in names if name in parquet.schema_arrow.names])


def _revision(path: AnyPath) -> int:
    return int(path.name.removesuffix(SUFFIX).partition(REVISION)[2] or 0)
