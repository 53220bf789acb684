"""What most workers share: keys from the plan, nothing to hold open, rows of the part are those of its keys."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from pipeline.engine.job import Rows
from pipeline.engine.plan import Part, Plan


@dataclass
class Planned:
    """Base of the workers whose parts are planned. plan: where the keys of a part are written down."""

    plan: Plan

    def keys(self, part: Part) -> Sequence[bytes]:
        """The keys of the part, in the order in which they are done."""
        return self.plan.keys(part)

    @contextmanager
    def open(self, part: Part) -> Iterator[None]:
        """Nothing to hold."""
        yield

    def finish(self, part: Part, done: Mapping[bytes, Rows]) -> Rows:
        """The rows of all keys, table by table."""
        return gathered(done)


def gathered(done: Mapping[bytes, Rows]) -> Rows:
    """Rows of many keys as one, without what is no table (`_...`)."""
    found: Rows = {}
    for rows in done.values():
        for name, more in rows.items():
            if name[0] != "_":
                found.setdefault(name, []).extend(more)
    return found
