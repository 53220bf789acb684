"""Contracts: what a table must fulfil beyond the types of its columns: keys, references, ranges, words, rules.

Tables of stages share one contract; the ranges of their own columns come from the stage that declares them. Where
nobody declares a range, the unit at the end of a column's name gives one.
"""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa

Bounds = tuple[float | None, float | None]
"""(least, most) value of a column of numbers, or of every entry of a list of them; None: not bounded on that side."""
STATUSES = ("ok", "quarantined", "ineligible", "too_short")
CLASSES = ("single_speech", "multi_speech", "speech", "singing", "music", "sound", "unknown")
EVERY_CLIP = "every_clip"
"""A view of the clips under every recipe there ever was: what a table of an earlier cut refers to."""


@dataclass(frozen=True)
class Declared:
    """What the maker of a table says of its columns. ranges: by column. words: all values that a column may have."""

    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Reference:
    """Every value of `column` (where it is not NULL, and `where` holds) is one of `target` in the view `other`."""

    column: str
    other: str
    target: str
    where: str = "true"
    wide: bool = False  # it may lie in another bucket than the row


@dataclass(frozen=True)
class Rule:
    """What holds in every row: in words, and in SQL that is never NULL. columns: those that it reads."""

    text: str
    sql: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Contract:
    """key: columns that name a row, together unique; (): rows may repeat."""

    key: tuple[str, ...] = ()
    refers: tuple[Reference, ...] = ()
    rules: tuple[Rule, ...] = ()
    ranges: Mapping[str, Bounds] = field(default_factory=dict)
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def bounds(self, column: pa.Field) -> Bounds:
        """The range of a column: as declared, else by the unit at the end of its name."""
        return self.ranges.get(column.name) or _by_unit(column.name)


def table_of(reference: Reference) -> str:
    """The table that a reference is to."""
    return "clips" if reference.other == EVERY_CLIP else reference.other


def _by_unit(name: str) -> Bounds:
    if name.endswith(("_ratio", "_share")):
        return 0, 1
    if name.endswith("_s") and "offset" in name:
        return None, None
    return (0 if name.endswith(_NOT_NEGATIVE) else None), None


_NOT_NEGATIVE = ("_s", "_us", "_hz", "_px", "_bytes")


def of(name: str, schema: pa.Schema, declared: Declared, there: Container[str]) -> Contract:
    """The contract of a table. Keys, references and rules that name columns which it lacks are left out, and so are
    references to tables that are not `there`."""
    held = set(schema.names)
    known = CONTRACTS.get(name) or (STAGE if "." in name else Contract(tuple(schema.names[:1]), (_CLIP,)))
    return replace(
        known,
        key=known.key if held.issuperset(known.key) else (),
        refers=tuple(ref for ref in known.refers if ref.column in held and table_of(ref) in there),
        rules=tuple(rule for rule in known.rules if held.issuperset(rule.columns)),
        ranges={**known.ranges, **declared.ranges},
        words={**known.words, **declared.words},
    )


_CLIP = Reference("clip_id", EVERY_CLIP, "clip_id")
_TOLD = (
    Rule("what is not ok says why", "status = 'ok' OR error_code IS NOT NULL", ("status", "error_code")),
    Rule("what is ok has no error", "status <> 'ok' OR error_code IS NULL", ("status", "error_code")),
)
_SIZE: dict[str, Bounds] = {
    "bytes": (0, None),
    "width": (1, 65_536),
    "height": (1, 65_536),
    "fps_num": (1, None),
    "fps_den": (1, None),
    "audio_rate": (1, 1_000_000),
    "audio_channels": (0, 1_024),
    "attempts": (1, None),
    "clips": (0, None),
    "revision": (0, None),
}
STAGE = Contract(("clip_id",), (_CLIP,), _TOLD, {"attempts": (1, None), "bucket": (0, 65_535)}, {"status": STATUSES})
"""Of the table of any stage."""
CONTRACTS: dict[str, Contract] = {
    "listing": Contract(ranges=_SIZE),
    "sightings": Contract(refers=(Reference("source_key", "listing", "source_key"),), ranges={"number": (0, None)}),
    "probes": Contract(
        ("source_key",),
        (Reference("source_key", "listing", "source_key"),),
        (*_TOLD, Rule("what is ok has a content", "status <> 'ok' OR source_id IS NOT NULL", ("status", "source_id"))),
        _SIZE,
        {"status": STATUSES},
    ),
    "canonical": Contract(("source_id",), (Reference("source_key", "probes", "source_key"),), _TOLD, _SIZE),
    "sources": Contract(
        ("source_key",),
        (Reference("source_key", "probes", "source_key"),),
        (
            Rule(
                "a duplicate names its original, and nothing else does",
                "(outcome = 'duplicate') = (duplicate_of IS NOT NULL)",
                ("outcome", "duplicate_of"),
            ),
            Rule(
                "what is quarantined says why",
                "outcome <> 'quarantined' OR error_code IS NOT NULL",
                ("outcome", "error_code"),
            ),
        ),
        _SIZE,
        {"outcome": ("ok", "ineligible", "duplicate", "quarantined", "pending")},
    ),
    "cuts": Contract(
        ("source_id",),
        (Reference("source_id", "probes", "source_id"),),
        _TOLD,
        _SIZE | {"shots": (0, None), "frames_decoded": (0, None)},
        {"status": STATUSES},
    ),
    "clips": Contract(
        ("clip_id",),
        (Reference("source_id", "cuts", "source_id"),),
        (Rule("a clip ends after it starts", "end_us > start_us", ("start_us", "end_us")),),
        _SIZE
        | {
            "start_frame": (0, None),
            "frames": (1, None),
            "origin_s": (None, None),  # places on a file's own clock may lie before its zero
            "audio_anchor_s": (None, None),
        },
    ),
    "verdicts": Contract(
        ("clip_id",),
        (_CLIP,),
        (Rule("what is kept was rejected by nothing", "NOT keep OR len(rejected_by) = 0", ("keep", "rejected_by")),),
        words={"audio_class": CLASSES},
    ),
    "near": Contract(
        ("pair",),
        (Reference("a", EVERY_CLIP, "clip_id", wide=True), Reference("b", EVERY_CLIP, "clip_id", wide=True)),
        (Rule("a pair stands in order", "a < b", ("a", "b")),),
        {"picture": (0, 1), "sound": (0, 1)},
    ),
    "duplicates": Contract(
        ("clip_id",),
        (_CLIP, Reference("canonical", EVERY_CLIP, "clip_id", wide=True)),
        (Rule("nothing is its own duplicate", "clip_id <> canonical", ("clip_id", "canonical")),),
        {"picture": (0, 1), "sound": (0, 1)},
    ),
    "release": Contract(("clip_id",), (_CLIP,), ranges={"shard": (0, None)}),
    "samples": Contract(
        ("clip_id",),
        (_CLIP, Reference("shard", "shards", "shard")),
        (
            *_TOLD,
            Rule(
                "what is ok lies in a shard",
                "status <> 'ok' OR (shard IS NOT NULL AND \"offset\" IS NOT NULL AND size > 0)",
                ("status", "shard", "offset", "size"),
            ),
        ),
        {
            "offset": (0, None),
            "size": (1, None),
            "frames": (1, None),
            "audio_samples": (0, None),
            "attempts": (1, None),
        },
        {"split": ("train", "val", "test"), "audio_class": CLASSES, "status": STATUSES},
    ),
    "shards": Contract(
        ("generation", "shard"),
        (),
        (Rule("a digest has 64 digits", "len(sha256) = 64", ("sha256",)),),
        {"bytes": (0, None), "count": (0, None)},
    ),
    "verified": Contract(
        ("generation", "shard"),
        ranges={"samples": (0, None), "decoded": (0, None)},
        words={"status": ("ok", "damaged")},
    ),
    "takedowns": Contract(("takedown_id",), words={"kind": ("clip", "source", "licence")}),
    "taken": Contract(("source_id", "start_us", "end_us")),
    "latents": Contract(
        ("clip_id",),
        (_CLIP,),
        _TOLD,
        {"offset": (0, None), "size": (1, None), "seconds": (0, None), "attempts": (1, None)},
        {"split": ("train", "val", "test"), "audio_class": CLASSES, "status": STATUSES},
    ),
    "events": Contract(
        rules=(Rule("an event tells its job and part", "job IS NOT NULL AND part IS NOT NULL", ("job", "part")),),
        ranges={"rows": (0, None), "cpu_seconds": (0, None), "attempt": (0, None)},  # seconds: a clock may be set back
    ),
}
"""By table, of those that no stage makes."""
