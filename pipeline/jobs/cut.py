"""Cut: the plan of clips of each source. The only job that fans out, and it writes no media (encode late)."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filters.audio import silero
from manifests.errors import KlearError, MachineError, MediaError, cause_of
from manifests.ids import clip_id, recipe
from manifests.query import connect, register
from manifests.schema import CLIPS, CUTS
from manifests.table import Table
from media import detect
from media.borders import BorderWatch
from media.cuts import Cut, plan_cuts
from media.patience import looking_s
from media.probe import Probe, understood
from media.shots import Shots, default_timeout, detect_shots
from media.shown import settle
from media.sound import stream_sound
from media.weights import digest_of
from media.windows import plan_windows
from pipeline.config import CutSettings
from pipeline.context import Context
from pipeline.engine.job import MOVED, Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import timed
from pipeline.engine.wanted import Asked
from pipeline.engine.worker import Planned
from pipeline.hardware import with_decoder
from pipeline.sources.ahead import Sources, fetching
from pipeline.sources.store import Store

VERSION = 8
NAME = "cuts"
_GAP_S = 0.03  # one step of the voice detector: the breath between two words is room enough for a cut
LONGEST = "SELECT max(duration_s), max(duration_s * fps_num / fps_den * width * height) FROM canonical"
WANTED = "SELECT source_id AS key, source_id AS place FROM canonical"
WITHOUT = f"{WANTED} WHERE source_id NOT IN (SELECT source_id FROM cuts)"
"""Also those whose part was committed while their file was replaced by another, and that are back now."""


def run(context: Context, canonical: Table) -> int:
    """Cut the sources (the table `canonical`: a row a source_id) not cut yet; how many."""
    cut = context.settings.cut
    made_by = recipe(NAME, VERSION, _model(cut), cut.model_dump(), {})
    clips = context.catalog.table("clips", made_by, CLIPS)
    cuts = context.catalog.table(NAME, made_by, CUTS)
    store = Store(with_decoder(context.settings.sources))
    worker = CutWorker(context.plan("cut"), canonical, cut, clips, cuts, store)
    wanted = Asked(context.catalog, WANTED, (canonical,))
    extra_s = _longest_s(context, canonical)
    done = context.work("cut", [clips, cuts], worker, wanted, "sources", extra_s=extra_s)
    if context.redo is None and (left := _back(context, canonical, cuts)):
        again = replace(context, redo=frozenset())
        done += again.work_off("cut", [clips, cuts], worker, left, "sources", extra_s=extra_s)
    for table in (clips, cuts):
        context.catalog.set_current(table)
    return done


def _back(context: Context, canonical: Table, cuts: Table) -> list[Part]:
    """The parts that hold sources without a row, as a rule none."""
    con, wanted = connect(context.catalog, asked=WITHOUT), Asked(context.catalog, WITHOUT, (canonical, cuts))
    for table in (canonical, cuts):
        register(con, table)
    if not con.execute(f"{WITHOUT} LIMIT 1").fetchall():
        return []
    return context.plan("cut").extend(wanted, context.settings.engine.part_clips)


def _longest_s(context: Context, canonical: Table) -> float:
    """What the longest source may take: two looks, at its picture and at its sound."""
    con = connect(context.catalog, asked=LONGEST)
    register(con, canonical)
    duration_s, pixels = con.execute(LONGEST).fetchall()[0]
    return 2 * looking_s(duration_s or 0.0, pixels or 0.0)


def _model(cut: CutSettings) -> str:
    """What decides where clips end. Raises BackendAbsent when it is not there: before any work."""
    listens = digest_of(silero.MODEL) if cut.windows == "speech" else ""
    return f"{cut.shots} {detect.make(cut.shots, cut.device).digest()} {cut.windows} {listens}"


@dataclass
class CutWorker(Planned):
    """Cuts sources. Both tables are committed together: the cuts row of a source is its word that its clips are whole.

    sources: their rows, by source_id.
    """

    sources: Table
    cut: CutSettings
    clips: Table
    cuts: Table
    store: Store = field(default_factory=Store)

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """The clips of each source, and its cuts row; nothing of one that was taken down or replaced since its plan (it
        is cut when it is back)."""
        sources = self.sources.read_keys(part.name, keys)
        with fetching(self.store, (sources[key] for key in keys if key in sources)) as here:
            for key in keys:
                yield timed("cut", self._rows, sources[key], part.bucket, here) if key in sources else {}

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """The quarantined row of a source that kills whoever decodes it."""
        source = self.sources.read_keys(part.name, [key]).get(key)
        rows = [self._row(source, part.bucket, error=error, attempts=attempts)] if source else []
        return {"clips": [], NAME: rows}

    def _rows(self, source: Mapping[str, Any], number: int, here: Sources) -> Rows:
        try:
            shots, decoded, clips = self.clips_of(source, number, here)
        except MachineError:
            raise
        except Exception as error:  # one source must not stop the others
            return {"clips": [], NAME: [self._row(source, number, error=KlearError(*cause_of(error)))]}
        values = {"shots": shots, "frames_decoded": decoded, "clips": len(clips)}
        read = {"kind": "read", "bytes": source["bytes"]}
        return {"clips": clips, NAME: [self._row(source, number, values)], MOVED: [read]}

    def clips_of(self, source: Mapping[str, Any], number: int, here: Sources) -> tuple[int, int, list[dict[str, Any]]]:
        """Shots, frames decoded, and the rows of the clips of a source, in bucket `number`."""
        path = here.get(source).path
        probed = understood(path, source["answer"])
        watch = BorderWatch() if self.cut.crop_borders else None
        detector = detect.make(self.cut.shots, self.cut.device)
        shots = detect_shots(path, probed, detector, decoder=here.decoder, see=watch.see if watch else None)
        cuts = self._plan(path, probed, shots)
        if len(cuts) > self.cut.max_clips:
            raise MediaError(
                "cut:too_many",
                f"{source['name']} gives {len(cuts)} clips, over cut.max_clips = {self.cut.max_clips}: raise it",
            )
        streams = {
            "origin_s": probed.video.start_s,
            "video_index": probed.video.index,
            "audio_index": probed.audio.index if probed.audio else -1,
            "audio_anchor_s": probed.audio.anchor_s if probed.audio else 0.0,
            "audio_step": probed.audio.step if probed.audio else 0,
            "audio_slack_s": probed.audio.slack_s if probed.audio else 0.0,
            "audio_rate": probed.audio.rate if probed.audio else 0,
            "audio_channels": probed.audio.channels if probed.audio else 0,
        }
        shown = settle(path, probed, shots.ranges, watch) if cuts else []
        rows = []
        for cut in cuts:
            seen = shown[bisect_right(shots.ranges, cut.start_frame, key=lambda shot: shot[0]) - 1]
            size = {"look": str(seen.look), "width": seen.width, "height": seen.height}
            rows.append({**self._clip(source, number, cut.start_frame, cut.frames), **streams, **size})
        return len(shots.ranges), shots.frames_decoded, rows

    def _plan(self, path: Path, probed: Probe, shots: Shots) -> list[Cut]:
        """The clips of the shots; windows of speech never split a word that they can spare."""
        limits = (probed.video.fps, self.cut.min_s, self.cut.max_s)
        if self.cut.windows == "even":
            return plan_cuts(shots.ranges, *limits)
        blocks = stream_sound(path, probed, shots.frames_decoded, silero.RATE, timeout_s=default_timeout(probed))
        speech = silero.spans_of(silero.stream_probabilities(blocks), min_gap_s=_GAP_S)
        return plan_windows(shots.ranges, speech, *limits)

    def _clip(self, source: Mapping[str, Any], number: int, start_frame: int, frames: int) -> dict[str, Any]:
        num, den = source["fps_num"], source["fps_den"]
        start_us, end_us = (round(1_000_000 * f * den / num) for f in (start_frame, start_frame + frames))
        return {
            **{name: source[name] for name in ("source_id", "uri", "name", "bytes", "version", "fps_num", "fps_den")},
            "clip_id": clip_id(source["source_id"], start_us, end_us, self.clips.recipe),
            "bucket": number,
            "start_us": start_us,
            "end_us": end_us,
            "start_frame": start_frame,
            "frames": frames,
            "recipe": self.clips.recipe,
        }

    def _row(
        self,
        source: Mapping[str, Any],
        number: int,
        values: Mapping[str, Any] | None = None,
        error: KlearError | None = None,
        attempts: int = 1,
    ) -> dict[str, Any]:
        return {
            **(values or {}),
            "source_id": source["source_id"],
            "bucket": number,
            "recipe": self.cuts.recipe,
            "status": "quarantined" if error else "ok",
            "error_stage": "cut" if error else None,
            "error_code": error.code if error else None,
            "error_message": error.message if error else None,
            "attempts": attempts,
        }
