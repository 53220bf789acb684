"""What every job is given: where its tables lie, its settings, and how its engine is set up."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from manifests.catalog import LAYOUT, Catalog
from manifests.errors import KlearError
from manifests.ids import digest
from manifests.table import Table
from pipeline.config import PipelineSettings
from pipeline.engine.job import Job, PartWorker
from pipeline.engine.plan import Part, Plan
from pipeline.work import work_off


@dataclass(frozen=True)
class Context:
    """One run over one output folder."""

    out: Path
    settings: PipelineSettings
    address: str | None = None
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", Catalog(self.out))

    def prepare(self) -> None:
        """Make the output folder's layout. Raises KlearError when it cannot be written."""
        try:
            for name in LAYOUT:
                (self.out / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise KlearError("out:unwritable", f"cannot write to {self.out}: {error}; give another OUT") from None

    def plan(self, name: str) -> Plan:
        """The plan of a job."""
        return Plan(self.out / "tables" / "plan" / name)

    def work(self, name: str, tables: list[Table], worker: PartWorker, wanted: Mapping[bytes, int], unit: str) -> int:
        """Plan the wanted keys (key -> bucket), work off what is pending, record events; the rows done now."""
        planned = self.plan(name).extend(wanted, self.settings.engine.part_clips)
        parts = [part for part in planned if not wanted.keys().isdisjoint(part.keys)]
        return self.work_off(name, tables, worker, parts, unit)

    def work_off(self, name: str, tables: list[Table], worker: PartWorker, parts: list[Part], unit: str) -> int:
        """Commit what is pending of these parts, as the engine settings say; the rows done now."""
        engine = self.settings.engine
        recipes = digest(*(table.recipe for table in tables)).hex()[:16]
        job = Job(
            name=name,
            tables=tuple(tables),
            worker=worker,
            leases=self.catalog.root / "leases" / name / recipes,
            attempts=engine.attempts,
            alone_timeout_s=engine.alone_timeout_s,
        )
        return work_off(self.catalog, job, parts, unit, workers=engine.workers, address=self.address)


def rate(started: float, rows: int) -> dict[str, float]:
    """Seconds since `started` (time.monotonic), rows done in them (not those found done), and clips a second."""
    seconds = time.monotonic() - started
    return {"seconds": round(seconds, 2), "done_now": rows, "clips_per_second": round(rows / max(seconds, 1e-6), 2)}


def check_error_rate(job: str, quarantined: int, planned: int, max_rate: float, causes: dict[str, int]) -> None:
    """Raise KlearError `job:error_rate` when more than max(max_rate x planned, 3) rows were quarantined."""
    limit = max(max_rate * planned, 3)
    if quarantined > limit:
        listed = "; ".join(f"{cause}: {count}" for cause, count in sorted(causes.items(), key=lambda c: -c[1]))
        raise KlearError(
            "job:error_rate",
            f"{job}: {quarantined} of {planned} rows quarantined, over the limit of {limit:g} "
            f"(engine.max_error_rate = {max_rate}). Causes: {listed}",
        )
