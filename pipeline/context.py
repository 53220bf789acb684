"""What every job is given: where its tables lie, its settings, and how its engine is set up."""

import math
import time
from dataclasses import dataclass, field

from manifests import layout
from manifests.catalog import LAYOUT, Catalog
from manifests.errors import KlearError
from manifests.files import AnyPath, is_local
from manifests.ids import digest
from manifests.table import Table
from pipeline.config import PipelineSettings
from pipeline.engine.job import Job, Limits, Needs, PartWorker
from pipeline.engine.plan import Part, Plan
from pipeline.engine.redo import quarantined_sql
from pipeline.engine.wanted import Asked, Wanted
from pipeline.sources import listing
from pipeline.work import OnEvent, work_off

MIN_ERRORS = 3
"""So many quarantined rows never fail a job, however few rows there are."""


@dataclass(frozen=True)
class Context:
    """One run over one output folder. redo: do rows again that these causes (error codes) quarantined.

    An output folder keeps the number of buckets that it was begun with, whatever the settings of later commands say.
    """

    out: AnyPath
    settings: PipelineSettings
    address: str | None = None
    redo: frozenset[str] | None = None
    catalog: Catalog = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalog", Catalog(self.out))
        begun = layout.fixed(self.catalog.root)
        if begun is not None:
            engine = self.settings.engine.model_copy(update={"bucket_bits": begun})
            object.__setattr__(self, "settings", self.settings.model_copy(update={"engine": engine}))

    def prepare(self) -> None:
        """Make the output folder's layout. Raises KlearError when it cannot be written, ConfigError when its buckets
        are others than those of the settings."""
        if is_local(self.out):
            try:
                for name in LAYOUT:
                    (self.out / name).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise KlearError("out:unwritable", f"cannot write to {self.out}: {error}; give another OUT") from None
        self.check_layout()

    def check_layout(self) -> None:
        """Raise ConfigError when another run has begun this folder meanwhile, with another number of buckets."""
        layout.hold(self.catalog.root, self.settings.engine.bucket_bits)

    def plan(self, name: str) -> Plan:
        """The plan of a job."""
        return Plan(self.out / "tables" / "plan" / name)

    def work(
        self, name: str, tables: list[Table], worker: PartWorker, wanted: Wanted, unit: str, extra_s: float = 0.0
    ) -> int:
        """Plan the wanted keys, work off what is pending of the parts that hold them; the rows done now.

        With `redo`, only what the causes quarantined is wanted. extra_s: what a key may take beyond the setting, which
        is meant for clips, seconds.
        """
        self.check_layout()
        if self.redo is not None:
            wanted = self.quarantined(tables, self.redo)
        parts = self.plan(name).extend(wanted, self.settings.engine.part_clips)
        return self.work_off(name, tables, worker, parts, unit, extra_s=extra_s)

    def quarantined(self, tables: list[Table], causes: frozenset[str]) -> Asked:
        """The keys that one of the causes quarantined in one of the tables."""
        asked = [sql for table in tables if (sql := quarantined_sql(table, causes))]
        return Asked(self.catalog, f"SELECT DISTINCT key, place FROM ({' UNION ALL '.join(asked)})", tuple(tables))

    def work_off(
        self,
        name: str,
        tables: list[Table],
        worker: PartWorker,
        parts: list[Part],
        unit: str,
        on_event: OnEvent = lambda event: None,
        whole: bool = False,
        extra_s: float = 0.0,
    ) -> int:
        """Commit what is pending of these parts, as the engine settings say; the rows done now.

        on_event: hears of each part done. whole: see `Job`.
        """
        engine = self.settings.engine
        attempt = digest(*(table.recipe for table in tables)).hex()[:16]
        attempt += "" if self.redo is None else f"-again-{time.time_ns()}"
        most = engine.max_error_rate * sum(part.count for part in parts) if self.redo is None else math.inf
        job = Job(
            name=name,
            tables=tuple(tables),
            worker=worker,
            leases=self.catalog.root / "leases" / name / attempt,
            needs=self.needs(name),
            limits=Limits(
                attempts=engine.attempts,
                key_timeout_s=engine.clip_timeout_s + extra_s + self._fetch_s(),
                keys_at_once=self.needs(name).clips_at_once,
                max_rss_gib=engine.max_rss_gib,
                quarantined=max(most, MIN_ERRORS),
            ),
            redo=self.redo,
            whole=whole,
        )
        return work_off(self.catalog, job, parts, unit, workers=engine.workers, address=self.address, on_event=on_event)

    def needs(self, name: str) -> Needs:
        """What a worker of this job takes."""
        asked = self.settings.engine.needs.get(name.removesuffix(".mended"))
        return Needs(**asked.model_dump()) if asked else Needs()

    def _fetch_s(self) -> float:
        """How long a worker may wait for a source: nothing where all lie on this machine."""
        return self.settings.sources.max_seconds if listing.has_remote(self.catalog) else 0.0


def rate(started: float, rows: int) -> dict[str, float]:
    """Seconds since `started` (time.monotonic), rows done in them (not those found done), and clips a second."""
    seconds = time.monotonic() - started
    return {"seconds": round(seconds, 2), "done_now": rows, "clips_per_second": round(rows / max(seconds, 1e-6), 2)}


def check_error_rate(job: str, quarantined: int, planned: int, max_rate: float, causes: dict[str, int]) -> None:
    """Raise KlearError `job:error_rate` when more than max(max_rate x planned, 3) rows were quarantined."""
    limit = max(max_rate * planned, MIN_ERRORS)
    if quarantined > limit:
        listed = "; ".join(f"{cause}: {count}" for cause, count in sorted(causes.items(), key=lambda c: -c[1]))
        raise KlearError(
            "job:error_rate",
            f"{job}: {quarantined} of {planned} rows quarantined, over the limit of {limit:g} "
            f"(engine.max_error_rate = {max_rate}). Causes: {listed}",
        )
