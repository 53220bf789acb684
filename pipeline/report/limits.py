"""Which bounds a policy puts on each measure, and for which audio classes."""

from dataclasses import dataclass

from filters.capability import CLASSES
from filters.gates import Policy, leaves


@dataclass(frozen=True)
class Limit:
    """A bound of a gate on a measure. alone: failing it fails the gate (it is not one of several ways to pass)."""

    gate: str
    measure: str
    minimum: float | None
    maximum: float | None
    classes: tuple[str, ...]
    alone: bool

    @property
    def bounds(self) -> list[float]:
        """The one or two thresholds."""
        return [bound for bound in (self.minimum, self.maximum) if bound is not None]


def of(policy: Policy) -> dict[str, list[Limit]]:
    """Measure -> its limits, in the order of the gates."""
    found: dict[str, list[Limit]] = {}
    for gate in policy.gates:
        for leaf in leaves(gate):
            measure = str(leaf.measure)
            limit = Limit(gate.name, measure, leaf.min, leaf.max, gate.classes, not gate.any_of)
            found.setdefault(measure, []).append(limit)
    return found


def words(limit: Limit) -> str:
    """The bound for people, e.g. `at most 0.2`."""
    if limit.minimum is not None and limit.maximum is not None:
        return f"{limit.minimum:g} to {limit.maximum:g}"
    return f"at least {limit.minimum:g}" if limit.minimum is not None else f"at most {limit.maximum:g}"


def scope(classes: tuple[str, ...]) -> str:
    """The classes for people: `all classes`, or their names."""
    return "all classes" if set(classes) == set(CLASSES) else ", ".join(name.replace("_", " ") for name in classes)
