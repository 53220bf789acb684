"""What a job was last asked to do: its tables and the parts wanted of it, so that `klear status` can say what is left.

    tables/jobs/<job>.parquet    part, count; the tables and the folder of the leases in its metadata

Replaced when a job starts with other parts or recipes than before.
"""

import io
import json
from dataclasses import dataclass
from operator import methodcaller

import pyarrow as pa
import pyarrow.parquet as pq

from manifests import files
from manifests.files import AnyPath
from manifests.schema import JOB_PARTS
from pipeline.engine.job import Job
from pipeline.engine.plan import Part

FOLDER = "jobs"
_TOLD = b"klear"
_SUFFIX = ".parquet"


@dataclass(frozen=True)
class Note:
    """One job as it was last started. tables: (name, recipe). leases: their folder below the tables. parts: rows."""

    job: str
    unit: str
    tables: list[tuple[str, str]]
    leases: str
    parts: dict[str, int]


def write(root: AnyPath, job: Job, parts: list[Part], unit: str) -> None:
    """Note down what is wanted of a job. root: the folder of all tables."""
    told = {
        "unit": unit,
        "tables": [[table.name, table.recipe] for table in job.tables],
        "leases": str(job.leases)[len(str(root)) :].strip("/"),
    }
    columns = [[part.name for part in parts], [part.count for part in parts]]
    schema = JOB_PARTS.with_metadata({_TOLD: json.dumps(told).encode()})
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns, schema=schema), buffer, compression="zstd")
    path = root / FOLDER / f"{job.name}{_SUFFIX}"
    if not files.exists(path) or files.read(path) != buffer.getvalue():
        files.replace(path, methodcaller("write", buffer.getvalue()))


def read_all(root: AnyPath) -> list[Note]:
    """The notes of all jobs that were ever started, by name."""
    return [_read(root, name.removesuffix(_SUFFIX)) for name in files.names(root / FOLDER)]


def _read(root: AnyPath, job: str) -> Note:
    table = pq.read_table(io.BytesIO(files.read(root / FOLDER / f"{job}{_SUFFIX}")))
    told = json.loads(table.schema.metadata[_TOLD])
    parts = dict(zip(table["part"].to_pylist(), table["count"].to_pylist(), strict=True))
    return Note(job, told["unit"], [(name, recipe) for name, recipe in told["tables"]], told["leases"], parts)
