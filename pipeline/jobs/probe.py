"""Probe: what each source holds, and its content id. A row a uri, whatever the file turns out to be."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifests.errors import KlearError, MachineError, MediaError, cause_of
from manifests.ids import file_digest, recipe
from manifests.schema import PROBES
from manifests.table import Table
from media import tracks
from pipeline.context import Context
from pipeline.engine.job import MOVED, Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import timed
from pipeline.engine.wanted import Asked
from pipeline.engine.worker import Planned
from pipeline.sources.ahead import Sources, fetching
from pipeline.sources.outcome import INELIGIBLE, REFUSALS
from pipeline.sources.store import Store

VERSION = 4
NAME = "probes"
WANTED = "SELECT DISTINCT source_key AS key, source_key AS place FROM listing"

Outcome = tuple[str, str | None, str | None]
"""Status, error code, error message."""


def run(context: Context) -> int:
    """Probe all listed sources that were not probed yet; how many."""
    order = context.settings.cut.audio_order
    table = context.catalog.table(NAME, recipe(NAME, VERSION, "", {"audio_order": order}, {}), PROBES)
    listed = context.catalog.require("listing", "ingest")
    wanted = Asked(context.catalog, WANTED, (listed,))
    worker = ProbeWorker(context.plan("probe"), listed, table, Store(context.settings.sources), tuple(order))
    done = context.work("probe", [table], worker, wanted, "sources")
    context.catalog.set_current(table)
    return done


@dataclass
class ProbeWorker(Planned):
    """Probes sources. listing: what each key stands for. table: where the rows go. order: of audio tracks."""

    listing: Table
    table: Table
    store: Store = field(default_factory=Store)
    order: tuple[str, ...] = tracks.DEFAULT_ORDER

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """A row a source: ok, ineligible or quarantined."""
        listed = self.listing.read_keys(part.name, keys)
        with fetching(self.store, (listed[key] for key in keys)) as sources:
            for key in keys:
                yield timed("probe", self._rows, listed[key], sources)

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """The quarantined row of a source that kills whoever opens it."""
        listed = self.listing.read_keys(part.name, [key])[key]
        return {NAME: [self._entry(listed, {}, ("quarantined", error.code, error.message), attempts)]}

    def _rows(self, listed: Mapping[str, Any], sources: Sources) -> Rows:
        row = self._row(listed, sources)
        return {NAME: [row], MOVED: [{"kind": "read", "bytes": row["bytes"] if row["status"] == "ok" else 0}]}

    def _row(self, listed: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
        try:
            return self._entry(listed, self.values(listed, sources), ("ok", None, None))
        except MachineError:
            raise
        except KlearError as error:
            status = "ineligible" if error.code in INELIGIBLE else "quarantined"
            return self._entry(listed, {}, (status, *cause_of(error)))
        except Exception as error:  # one source must not stop the others
            return self._entry(listed, {}, ("quarantined", *cause_of(error)))

    def values(self, listed: Mapping[str, Any], sources: Sources) -> dict[str, Any]:
        """The columns of a source, from its file. Raises what makes it ineligible or quarantined."""
        from media.probe import ask, understood

        if listed["refused"]:
            raise MediaError(listed["refused"], REFUSALS[listed["refused"]].format(name=listed["name"]))
        held = sources.get(listed)
        answer = ask(held.path, audio_order=self.order)
        columns = _columns(understood(held.path, answer))
        content = held.content or file_digest(held.path)
        return {"source_id": content, "bytes": held.size, "version": held.version, **columns, "answer": answer}

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


_PICTURE = ("pix_fmt", "bits", "rotation", "field_order", "matrix", "transfer", "primaries", "colour_range")


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
        "audio_index": probed.audio.index,
        "audio_tracks": [dataclasses.asdict(track) for track in probed.audio_tracks],
        **{name: getattr(probed.video, name) for name in _PICTURE},
        "look": str(probed.video.look),
    }
