"""Probe: what each source holds, and its content id. A row a uri, whatever the file turns out to be."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from manifests.catalog import Catalog
from manifests.errors import KlearError, cause_of
from manifests.ids import bucket, digest, file_digest, recipe
from manifests.schema import LISTING, PROBES
from manifests.table import Table
from pipeline.context import Context
from pipeline.engine.job import Rows
from pipeline.engine.plan import Part
from pipeline.jobs.clip_work import local_path
from pipeline.sources.local import SourceFile

VERSION = 1
NAME = "probes"

Outcome = tuple[str, str | None, str | None]
"""Status, error code, error message."""


def run(context: Context, sources: list[SourceFile]) -> int:
    """Probe all sources that were not probed yet; how many."""
    bits = context.settings.engine.bucket_bits
    table = context.catalog.table(NAME, recipe(NAME, VERSION, "", {}, {}), PROBES)
    listing = list_sources(context.catalog, sources, bits)
    wanted = {source.key: bucket(source.key, bits) for source in sources}
    done = context.work("probe", [table], ProbeWorker(listing, table), wanted, "sources")
    context.catalog.set_current(table)
    return done


def list_sources(catalog: Catalog, sources: list[SourceFile], bits: int) -> Table:
    """Write down what was found, so that workers on any node know what a key stands for."""
    table = catalog.set_current(catalog.table("listing", recipe("listing", VERSION, "", {}, {}), LISTING))
    by_bucket: dict[int, list[SourceFile]] = {}
    for source in sources:
        by_bucket.setdefault(bucket(source.key, bits), []).append(source)
    for number, members in sorted(by_bucket.items()):
        notes = [source.key + repr(sorted(source.info.items())).encode() for source in members]
        part = f"b{number:04x}-{digest(*sorted(notes)).hex()[:12]}"
        table.publish(part, [_listed(source) for source in members])
    return table


def _listed(source: SourceFile) -> dict[str, Any]:
    return {
        "source_key": source.key,
        "uri": source.uri,
        "name": source.name,
        "bytes": source.size,
        "mtime_ns": source.mtime_ns,
        **source.info,
    }


@dataclass
class ProbeWorker:
    """Probes the sources of a part. listing: what each key stands for. table: where the rows go."""

    listing: Table
    table: Table

    def rows(self, part: Part) -> Rows:
        """A row a source: ok, ineligible or quarantined."""
        return {NAME: [self._row(row) for row in self._listed(part)]}

    def blame(self, part: Part, error: KlearError, attempts: int) -> Rows:
        """Quarantined rows for sources that kill whoever opens them."""
        bad = ("quarantined", error.code, error.message)
        return {NAME: [self._entry(row, {}, bad, attempts) for row in self._listed(part)]}

    def _listed(self, part: Part) -> list[dict[str, Any]]:
        found = self.listing.read_keys(part.bucket, part.keys)
        return [found[key] for key in part.keys]

    def _row(self, listed: Mapping[str, Any]) -> dict[str, Any]:
        from media.probe import INELIGIBLE, probe

        path = local_path(listed["uri"])
        values: dict[str, Any] = {}
        try:
            probed = probe(path)
            values = {"source_id": file_digest(path), **_columns(probed)}
            return self._entry(listed, values, ("ok", None, None))
        except KlearError as error:
            status = "ineligible" if error.code in INELIGIBLE else "quarantined"
            return self._entry(listed, {}, (status, *cause_of(error)))
        except Exception as error:  # one source must not stop the others
            return self._entry(listed, {}, ("quarantined", *cause_of(error)))

    def _entry(
        self, listed: Mapping[str, Any], values: Mapping[str, Any], outcome: Outcome, attempts: int = 1
    ) -> dict[str, Any]:
        status, code, message = outcome
        return {
            **listed,
            **values,
            "recipe": self.table.recipe,
            "status": status,
            "error_stage": "probe" if code else None,
            "error_code": code,
            "error_message": message,
            "attempts": attempts,
        }


def _columns(probed: Any) -> dict[str, Any]:
    """The probe's answer as columns."""
    return {
        "container": probed.container,
        "duration_s": probed.duration_s,
        "video_codec": probed.video.codec,
        "width": probed.video.width,
        "height": probed.video.height,
        "fps_num": probed.video.fps.numerator,
        "fps_den": probed.video.fps.denominator,
        "audio_codec": probed.audio.codec,
        "audio_rate": probed.audio.rate,
        "audio_channels": probed.audio.channels,
    }
