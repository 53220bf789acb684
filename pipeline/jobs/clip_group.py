"""A few clips through the stages: each is rendered once, and a stage that takes several at once is given them all."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from manifests.errors import MachineError, cause_of
from media.clip import Clip
from media.render import render_views
from media.stage import Stage
from media.views import View, Views
from pipeline.engine.stopwatch import Stopwatch

_log = logging.getLogger(__name__)
FILES = "_files"
"""What a stage returns beside its columns: files to keep of this clip, name -> bytes."""
Cause = tuple[str, str, str]
"""Stage, code and message of what went wrong."""


@dataclass
class Held:
    """A clip in hand: its row, what is known of it (`facts`), what each stage said (`values`), and what went wrong."""

    row: Mapping[str, Any]
    facts: dict[str, Mapping[str, Any]]
    bad: Cause | None = None
    clip: Clip | None = None
    views: Views = field(default_factory=lambda: Views({}))
    values: dict[str, dict[str, Any]] = field(default_factory=dict)

    def render(self, open_clip: Callable[[], Clip], wanted: Sequence[View], stack: ExitStack) -> None:
        """Open the clip and render its views, which live as long as `stack`."""
        try:
            self.clip = open_clip()
            if wanted:
                self.views = stack.enter_context(render_views(self.clip, wanted))
        except MachineError:
            raise
        except Exception as error:
            self.bad = ("render", *cause_of(error))

    def ask(self, stage: Stage) -> None:
        """Have the stage say what it says of this clip alone."""
        assert self.clip is not None
        try:
            self.note(stage, stage(self.clip, self.views, self.facts))
        except MachineError:
            raise
        except Exception as error:
            self.blame(stage, error)

    def blame(self, stage: Stage, error: Exception) -> None:
        """Keep what went wrong in the stage."""
        self.bad = (stage.NAME, *cause_of(error))

    def note(self, stage: Stage, values: dict[str, Any]) -> None:
        """Keep what the stage said; later stages read the columns. A number that is none is the clip's fault."""
        if wrong := next((n for n, v in values.items() if isinstance(v, float) and not math.isfinite(v)), None):
            told = f"{stage.NAME}.{wrong} is {values[wrong]}: `klear replay` shows what it makes of the clip"
            self.bad = (stage.NAME, "measure:not_finite", told)
            return
        self.values[stage.NAME] = values
        self.facts[stage.NAME] = {name: value for name, value in values.items() if name != FILES}


def run(held: Sequence[Held], todo: Sequence[Stage], watch: Stopwatch) -> None:
    """All stages on all clips, stage by stage; a clip that went wrong goes no further."""
    for stage in todo:
        healthy = [one for one in held if one.bad is None]
        if not (len(healthy) > 1 and _together(stage, healthy)):
            for one in healthy:
                one.ask(stage)
        watch.lap(stage.NAME)


def _together(stage: Stage, held: Sequence[Held]) -> bool:
    """Whether the stage takes several clips and could do all of these: if not, each must be asked alone, so that only
    the one that is bad is blamed."""
    many = getattr(stage, "many", None)
    if many is None:
        return False
    try:
        found = many([(one.clip, one.views, one.facts) for one in held])
    except MachineError:
        raise
    except Exception as error:
        _log.warning("%s could not take %d clips at once, so each is asked alone: %r", stage.NAME, len(held), error)
        return False
    for one, values in zip(held, found, strict=True):
        one.blame(stage, values) if isinstance(values, Exception) else one.note(stage, values)
    return True
