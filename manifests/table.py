"""A table: Parquet files, one a part, under `tables/<name>/<recipe>/`. Publishing a part's file is its commit."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from manifests.files import publish

SUFFIX = ".parquet"


@dataclass(frozen=True)
class Table:
    """One producer's table under one recipe. `schema` is what every part must have."""

    root: Path
    name: str
    recipe: str
    schema: pa.Schema

    @property
    def folder(self) -> Path:
        """Where the parts lie. Half of the recipe is enough of a name; the rows carry it whole."""
        return self.root / self.name / self.recipe[:16]

    def path(self, part: str) -> Path:
        """The file of a part: a function of (table, recipe, part) alone."""
        return self.folder / f"{part}{SUFFIX}"

    def published(self) -> set[str]:
        """Names of the committed parts, by one directory listing."""
        if not self.folder.is_dir():
            return set()
        return {path.name.removesuffix(SUFFIX) for path in self.folder.glob(f"*{SUFFIX}") if path.name[0] != "."}

    def publish(self, part: str, rows: Iterable[dict]) -> bool:
        """Commit a part, sorted by its first column. False when someone else had: then theirs stays."""
        table = pa.Table.from_pylist(list(rows), schema=self.schema)
        if table.num_rows:
            table = table.sort_by(self.schema.names[0])
        return publish(self.path(part), lambda file: pq.write_table(table, file, compression="zstd"))

    def read(self, columns: list[str] | None = None, parts: Iterable[str] | None = None) -> pa.Table:
        """All committed rows, or those of the given parts. Empty when nothing is committed."""
        names = sorted(self.published() if parts is None else set(parts) & self.published())
        if not names:
            schema = self.schema if columns is None else pa.schema([self.schema.field(c) for c in columns])
            return schema.empty_table()
        files = [str(self.path(name)) for name in names]
        return ds.dataset(files, schema=self.schema, format="parquet").to_table(columns=columns)

    def read_keys(self, bucket: int, keys: Iterable[bytes], columns: list[str] | None = None) -> dict[bytes, dict]:
        """Rows of the given keys (first column) by key. Only files of their bucket are opened."""
        prefix = f"b{bucket:04x}-"
        parts = [part for part in self.published() if part.startswith(prefix)]
        if not parts:
            return {}
        key, wanted = self.schema.names[0], set(keys)
        rows = self.read(columns, parts).to_pylist()
        return {row[key]: row for row in rows if row[key] in wanted}
