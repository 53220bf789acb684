"""Policies as they are written: gates over measures, per audio class, in YAML. `filters/verdicts.py` applies them.

A gate bounds a measure, or groups other conditions:

    - {name: loudness, measure: audio.loudness.lufs, min: -60, source: Ovi}
    - {name: in_sync, classes: [sound], any_of: [{measure: sync.synchformer.offset_s, min: -0.5, max: 0.5},
                                                 {measure: semantic.imagebind.cosine, min: 0.2}]}

Three-valued: a measure that is NULL (not measured, not measurable, unsure) makes its condition unknown, and a gate that
is unknown does not reject; it is listed as unmeasured. Groups follow SQL's AND and OR: one passing member of `any_of`
is enough whatever the others are.
"""

import difflib
import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from annotated_types import MinLen
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from filters.capability import CLASSES, TASKS
from manifests.errors import ConfigError

POLICIES_DIR = Path(__file__).parent / "policies"
SPEECH = ("single_speech", "multi_speech")


class Strict(BaseModel):
    """Immutable; an unknown key is an error, and so is a number that is infinite or none."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Condition(Strict):
    """A bound on one measure (inclusive; NaN counts as NULL), or a group of conditions: exactly one of the three.

    measure: `<stage>.<column>`, numeric. any_of, all_of: at least one member each.
    """

    measure: str | None = Field(None, pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")
    min: float | None = None
    max: float | None = None
    any_of: tuple["Condition", ...] = ()
    all_of: tuple["Condition", ...] = ()

    @model_validator(mode="after")
    def _one_kind(self) -> "Condition":
        kinds = [bool(self.measure), bool(self.any_of), bool(self.all_of)]
        if sum(kinds) != 1:
            raise ValueError("give exactly one of: measure (with min or max), any_of, all_of")
        if self.measure and self.min is None and self.max is None:
            raise ValueError(f"{self.measure} needs a min, a max, or both")
        if not self.measure and (self.min is not None or self.max is not None):
            raise ValueError("min and max belong to a measure, not to a group")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}: nothing would pass")
        return self

    @property
    def members(self) -> tuple["Condition", ...]:
        """The conditions of a group, in order; empty for a bound."""
        return self.any_of or self.all_of


class Gate(Condition):
    """A named condition. A failed gate of scope `clip` rejects; of `audio` or `video` it takes those tasks away.

    classes: final audio classes that it applies to; `speech` means single and multi speech; default all.
    given: a condition without which the gate has nothing to say: where it is false the gate is not for the clip, where
    it is unknown the gate speaks. source: where the threshold comes from. ratio: how much of what `klear policy
    calibrate` turns away is this gate's, against the ratios of the others; without one its threshold stays.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    classes: tuple[str, ...] = CLASSES
    scope: Literal["clip", "audio", "video"] = "clip"
    given: Condition | None = None
    source: str = Field(min_length=1)
    ratio: float | None = Field(None, gt=0, le=1000)

    @field_validator("classes", mode="before")
    @classmethod
    def _expand(cls, value: Any) -> tuple[str, ...]:
        names = [value] if isinstance(value, str) else list(value)
        if not names:
            raise ValueError(
                "no audio class is named, so the gate would never apply: name some, or leave `classes` out"
            )
        wanted: list[str] = []
        for name in names:
            wanted += SPEECH if name == "speech" else CLASSES if name == "all" else [name]
        unknown = sorted(set(wanted) - set(CLASSES))
        if unknown:
            raise ValueError(f"unknown audio class {unknown[0]!r}; known: speech, all, {', '.join(CLASSES)}")
        return tuple(name for name in CLASSES if name in wanted)


SCORE = "policy.score"
"""The measure under which gates bound the policy's own score."""


class Term(Strict):
    """A part of the score: 0 at `low` and beyond, 1 at `high` and beyond, straight between. low may be above high."""

    measure: str = Field(pattern=r"^[a-z0-9_]+(\.[a-z0-9_]+)+$")
    low: float
    high: float
    weight: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _apart(self) -> "Term":
        if self.low == self.high:
            raise ValueError(f"low and high are both {self.low}: a score needs a slope; for a step, use a gate")
        return self


class Policy(Strict):
    """Gates, in the order in which reasons are listed, and the tasks that a clip without a failed gate may serve.

    score: terms of a soft score in [0, 1], the weighted mean of those that are measured (NULL when none is). It is
    written with each verdict, for sampling the better more often, and gates may bound it as `policy.score`.
    """

    name: str
    description: str = ""
    tasks: Annotated[tuple[Literal["T2AV", "TI2AV", "TI2V", "T2V", "T2A"], ...], MinLen(1)] = TASKS  # type: ignore[assignment]
    score: tuple[Term, ...] = ()
    gates: tuple[Gate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _scored(self) -> "Policy":
        if not self.score and any(leaf.measure == SCORE for gate in self.gates for leaf in leaves(gate)):
            raise ValueError(f"a gate bounds {SCORE}, and the policy has no score: give it terms")
        return self

    @model_validator(mode="after")
    def _unique(self) -> "Policy":
        names = [gate.name for gate in self.gates]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two gates are named {twice[0]!r}: names appear in verdicts and must be unique")
        return self

    def digest(self) -> str:
        """Hex digest of everything that decides verdicts: the recipe of `decide` holds it."""
        said = self.model_dump_json(exclude={"gates": {"__all__": {"ratio"}}})
        return hashlib.blake2b(said.encode(), digest_size=16).hexdigest()

    def measures(self) -> list[str]:
        """Names of all measures that the gates and the score read, sorted."""
        held = [condition for gate in self.gates for condition in (gate, gate.given) if condition]
        bounded = {leaf.measure for condition in held for leaf in leaves(condition) if leaf.measure}
        return sorted((bounded | {term.measure for term in self.score}) - {SCORE})


def leaves(condition: Condition) -> list[Condition]:
    """The bounds of a condition, depth first."""
    return [leaf for member in condition.members for leaf in leaves(member)] if condition.members else [condition]


def written(policy: Policy) -> str:
    """The policy as YAML that `load_policy` reads back as it is."""
    told = policy.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(told, sort_keys=False, allow_unicode=True, width=120)


def load_policy(name: str) -> Policy:
    """Read a shipped policy by name (`klear`, `mova`, `demo`) or any YAML file by path.

    Raises ConfigError that names the key, the value and the nearest known key.
    """
    path = Path(name) if Path(name).suffix in {".yaml", ".yml"} else POLICIES_DIR / f"{name}.yaml"
    if not path.is_file():
        known = sorted(p.stem for p in POLICIES_DIR.glob("*.yaml"))
        raise ConfigError("config:policy", f"no policy {name!r}; there are {known}, or give a path to a YAML file")
    try:
        return Policy.model_validate(yaml.safe_load(path.read_text()))
    except yaml.YAMLError as error:
        raise ConfigError("config:policy", f"{path} is not YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise ConfigError("config:policy", f"{path.name}: {_explain(error.errors()[0])}") from None


def _explain(error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{where or 'policy'} = {error.get('input')!r}: {error['msg']}"
    known = sorted(Gate.model_fields if "gates" in error["loc"] else Policy.model_fields)
    near = difflib.get_close_matches(str(error["loc"][-1]), known, 1, 0.5)
    return f"unknown key {where!r}; " + (f"did you mean {near[0]!r}?" if near else f"known keys: {known}")
