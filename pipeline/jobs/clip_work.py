"""Work on clips, shared by `measure` and `annotate`: render a clip's views once, run the stages on them, in order."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifests import journal
from manifests.errors import KlearError
from manifests.ids import digest
from manifests.journal import Journal
from manifests.schema import KEY
from manifests.table import Table
from media.stage import Stage
from media.views import View
from pipeline import stages
from pipeline.engine.event import read_bytes
from pipeline.engine.job import MOVED, TIMINGS, Rows
from pipeline.engine.plan import Part
from pipeline.engine.stopwatch import Stopwatch
from pipeline.engine.worker import Planned, gathered
from pipeline.jobs import clip_group, tars
from pipeline.jobs.clip_group import FILES, Held
from pipeline.sources.ahead import Sources, fetching
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store
from pipeline.stages import StageRef

_KEY = {schema_field.name for schema_field in KEY}


@dataclass
class ClipWorker(Planned):
    """Runs stages on clips. Bad clips become quarantined rows, in every table of the job.

    clips: the clips table. refs: the stages, in order. tables: where each stage's rows go, by stage name.
    inputs: tables of stages that ran in earlier jobs, whose columns are facts here. store: where sources come from.
    at_once: clips that are held together, for stages that take several at once; the memory of so many is needed.
    """

    clips: Table
    refs: tuple[StageRef, ...]
    tables: Mapping[str, Table]
    inputs: Mapping[str, Table]
    store: Store = field(default_factory=Store)
    at_once: int = 1
    _stages: list[Stage] = field(default_factory=list)

    def each(self, part: Part, keys: Sequence[bytes]) -> Iterator[Rows]:
        """Rows of every stage for each clip. Stages whose table has the part already are not run."""
        self._stages = self._stages or [stages.make(ref) for ref in self.refs]
        todo = [stage for stage in self._stages if not self.tables[stage.NAME].has(part.name)]
        todo = todo or self._stages  # all are there: some of their rows are to be done again
        known = {**self.inputs, **{s.NAME: self.tables[s.NAME] for s in self._stages if s not in todo}}
        facts = {name: table.read_keys(part.name, keys) for name, table in known.items()}
        clips = self.clips.read_keys(part.name, keys)
        self._remind(todo, part)
        with fetching(self.store, (clips[key] for key in keys)) as sources:
            for start in range(0, len(keys), self.at_once):
                group = keys[start : start + self.at_once]
                before = [{name: found[key] for name, found in facts.items() if key in found} for key in group]
                yield from self._group([clips[key] for key in group], sources, todo, before)

    def _remind(self, todo: list[Stage], part: Part) -> None:
        """Tell the stages whose answers cost money where those for this part are kept: beside the tables, whatever the
        recipe."""
        for stage in todo:
            if remember := getattr(stage, "remember", None):
                remember(Journal(self.tables[stage.NAME].root.parent / journal.FOLDER / stage.NAME, part.name))

    def blame(self, part: Part, key: bytes, error: KlearError, attempts: int) -> Rows:
        """Quarantined rows of a clip that cannot be touched."""
        clip = self.clips.read_keys(part.name, [key])[key]
        bad = ("work", error.code, error.message)
        return {name: [self._row(name, clip, {}, bad, attempts)] for name in self.tables}

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """The rows of all clips; the files that stages keep go into one tar a part, beside the stage's table. Those of
        clips that were done again lie in a tar of their own."""
        rows = gathered(done)
        again = "" if len(done) == part.count else f"~{digest(*sorted(done)).hex()[:8]}"
        for name in self.tables:
            members = [(f"{row['clip_id'].hex()}.{n}", data) for row in rows.get(name, []) for n, data in _files(row)]
            if members:
                tars.write(self.tables[name].path(f"{part.name}{again}").with_suffix(".tar"), sorted(members))
        return rows

    def _group(
        self, clips: Sequence[Mapping[str, Any]], sources: Sources, todo: list[Stage], before: Sequence[dict[str, dict]]
    ) -> Iterator[Rows]:
        """The rows of clips that are held together; what it took is shared out evenly among them."""
        before_render = read_bytes()
        with contextlib.ExitStack() as stack, Stopwatch() as watch:
            held = [self._hold(*pair, sources, _views(todo), stack) for pair in zip(clips, before)]
            watch.lap("render")
            moved = (read_bytes() - before_render) // len(held)
            clip_group.run(held, todo, watch)
        taken = [{**lap, "seconds": lap["seconds"] / len(held)} for lap in watch.rows()]
        for one in held:
            rows = {stage.NAME: [self._row(stage.NAME, one.row, *_said(one, stage))] for stage in todo}
            yield {MOVED: [{"kind": "read", "bytes": moved}], **rows, TIMINGS: taken}

    def _hold(
        self,
        row: Mapping[str, Any],
        before: dict[str, dict],
        sources: Sources,
        wanted: Sequence[View],
        stack: contextlib.ExitStack,
    ) -> Held:
        bad = next(((r["error_stage"], r["error_code"], r["error_message"]) for r in before.values() if _bad(r)), None)
        held = Held(row, {name: columns_of(known) for name, known in before.items()}, bad)
        if bad is None:
            held.render(lambda: clip_of(row, sources), wanted, stack)
        return held

    def _row(
        self, name: str, clip: Mapping[str, Any], values: dict, bad: tuple[str, str, str] | None, attempts: int = 1
    ) -> dict:
        where, code, message = bad or (None, None, None)
        return {
            **values,
            "clip_id": clip["clip_id"],
            "source_id": clip["source_id"],
            "bucket": clip["bucket"],
            "recipe": self.tables[name].recipe,
            "status": "quarantined" if bad else "ok",
            "error_stage": where,
            "error_code": code,
            "error_message": message,
            "attempts": attempts,
        }


def _views(todo: list[Stage]) -> list[View]:
    """The union of the stages' views, in order, each once."""
    return list(dict.fromkeys(view for stage in todo for view in stage.VIEWS))


def columns_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """A stage's own columns of a row of its table."""
    return {name: value for name, value in row.items() if name not in _KEY}


def _files(row: Mapping[str, Any]) -> list[tuple[str, bytes]]:
    return list(row.get(FILES, {}).items())


def _bad(row: Mapping[str, Any]) -> bool:
    return row["status"] == "quarantined"


def _said(held: Held, stage: Stage) -> tuple[dict[str, Any], clip_group.Cause | None]:
    """What the stage said of the clip, and what is wrong with it: a later stage's fault is not this one's."""
    values = held.values.get(stage.NAME)
    return ({}, held.bad) if values is None else (values, None)
