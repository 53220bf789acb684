"""The catalog of an output folder: which recipe of each table is the current one, and with what columns."""

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from manifests import files
from manifests.errors import ConfigError
from manifests.files import AnyPath, replace
from manifests.table import Table

POINTER = ".current.json"
LAYOUT = ("tables", "shards", "latents", "checkpoints", "samples", "report")


@dataclass(frozen=True)
class Catalog:
    """An output folder `OUT` and its tables. Old recipes stay on disk; the catalog points at the current ones."""

    out: AnyPath

    @property
    def root(self) -> AnyPath:
        """The folder of all tables."""
        return self.out / "tables"

    def set_current(self, table: Table) -> Table:
        """Make this recipe the current one of its table. One small file a table, so that jobs do not race."""
        entry = {"recipe": table.recipe, "schema": base64.b64encode(table.schema.serialize().to_pybytes()).decode()}
        if self._entry(table.name) != entry:
            replace(self._pointer(table.name), lambda file: file.write(json.dumps(entry, indent=1).encode()))
        return table

    def table(self, name: str, recipe: str, schema: pa.Schema) -> Table:
        """A table of this folder, current or not."""
        return Table(self.root, name, recipe, schema)

    def current(self, name: str) -> Table | None:
        """The current table of this name, None before its first job."""
        entry = self._entry(name)
        if entry is None:
            return None
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(entry["schema"])))
        return Table(self.root, name, entry["recipe"], schema)

    def require(self, name: str, job: str) -> Table:
        """The current table, or an error that says which job makes it."""
        table = self.current(name)
        if table is None:
            raise ConfigError("out:missing_table", f"{self.out} has no table {name!r} yet: run `klear {job}` first")
        return table

    def names(self) -> list[str]:
        """All tables that have a current recipe, sorted."""
        return [n.removesuffix(POINTER) for n in files.names(self.root) if n.endswith(POINTER)]

    def currents(self, names: Iterable[str]) -> dict[str, Table]:
        """The current tables among `names`; those without one are left out."""
        found = {name: self.current(name) for name in names}
        return {name: table for name, table in found.items() if table is not None}

    def _pointer(self, name: str) -> AnyPath:
        return self.root / f"{name}{POINTER}"

    def _entry(self, name: str) -> dict[str, str] | None:
        try:
            entry: dict[str, str] = json.loads(files.read(self._pointer(name)))
        except FileNotFoundError:
            return None
        return entry
