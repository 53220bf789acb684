"""Work on clips, shared by `measure` and `annotate`: render a clip's views once, run the stages on them, in order."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.errors import KlearError, MachineError, cause_of
from manifests.schema import KEY
from manifests.table import Table
from media.clip import Clip
from media.stage import Stage
from media.views import View, Views
from pipeline import stages
from pipeline.engine.job import Rows
from pipeline.engine.plan import Part
from pipeline.jobs import tars
from pipeline.sources.clip import clip_of
from pipeline.sources.store import Store
from pipeline.stages import StageRef

_KEY = {schema_field.name for schema_field in KEY}


@dataclass
class ClipWorker:
    """Runs stages on the clips of a part. Bad clips become quarantined rows, in every table of the job.

    clips: the clips table. refs: the stages, in order. tables: where each stage's rows go, by stage name.
    inputs: tables of stages that ran in earlier jobs, whose columns are facts here. store: where sources come from.
    """

    clips: Table
    refs: tuple[StageRef, ...]
    tables: Mapping[str, Table]
    inputs: Mapping[str, Table]
    store: Store = field(default_factory=Store)
    _stages: list[Stage] = field(default_factory=list)

    def rows(self, part: Part) -> Rows:
        """Rows of every stage for every clip of the part. Stages whose table has the part already are not run."""
        self._stages = self._stages or [stages.make(ref) for ref in self.refs]
        todo = [stage for stage in self._stages if part.name not in self.tables[stage.NAME].published()]
        known = {**self.inputs, **{s.NAME: self.tables[s.NAME] for s in self._stages if s not in todo}}
        facts = {name: table.read_keys(part.bucket, part.keys) for name, table in known.items()}
        rows: Rows = {stage.NAME: [] for stage in self._stages}
        files: dict[str, dict[str, bytes]] = {}
        for key, clip in self.clips.read_keys(part.bucket, part.keys).items():
            before = {name: found[key] for name, found in facts.items() if key in found}
            for name, row, extra in self._clip(clip, todo, before):
                rows[name].append(row)
                files.setdefault(name, {}).update({f"{key.hex()}.{n}": data for n, data in extra.items()})
        for name, members in files.items():
            if members:
                tars.write(self.tables[name].folder / f"{part.name}.tar", sorted(members.items()))
        return rows

    def blame(self, part: Part, error: KlearError, attempts: int) -> Rows:
        """Quarantined rows for clips that cannot be touched."""
        clips = self.clips.read_keys(part.bucket, part.keys).values()
        return {
            name: [self._row(name, clip, {}, ("work", error.code, error.message), attempts) for clip in clips]
            for name in self.tables
        }

    def _clip(
        self, clip: Mapping[str, Any], todo: list[Stage], before: dict[str, dict]
    ) -> Iterator[tuple[str, dict, dict[str, bytes]]]:
        bad = next(((r["error_stage"], r["error_code"], r["error_message"]) for r in before.values() if _bad(r)), None)
        facts = {name: _columns(row) for name, row in before.items()}
        with contextlib.ExitStack() as stack:
            views = Views({})
            if bad is None and (wanted := _views(todo)):
                try:
                    views = stack.enter_context(_render(clip_of(clip, self.store), wanted))
                except MachineError:
                    raise
                except Exception as error:
                    bad = _cause("render", error)
            for stage in todo:
                values: dict[str, Any] = {}
                if bad is None:
                    try:
                        values = stage(clip_of(clip, self.store), views, facts)
                    except MachineError:
                        raise
                    except Exception as error:
                        bad = _cause(stage.NAME, error)
                files = values.pop("_files", {})
                facts[stage.NAME] = values
                yield stage.NAME, self._row(stage.NAME, clip, values, bad), files

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


def _render(clip: Clip, views: list[View]) -> contextlib.AbstractContextManager[Views]:
    from media.render import render_views

    return render_views(clip, views)


def _views(todo: list[Stage]) -> list[View]:
    """The union of the stages' views, in order, each once."""
    return list(dict.fromkeys(view for stage in todo for view in stage.VIEWS))


def _columns(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _KEY}


def _bad(row: Mapping[str, Any]) -> bool:
    return row["status"] == "quarantined"


def _cause(stage: str, error: Exception) -> tuple[str, str, str]:
    return stage, *cause_of(error)
