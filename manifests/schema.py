"""The columns of every table. A stage's own columns are added to KEY by `stage_schema`."""

from collections.abc import Mapping

import pyarrow as pa

ID = pa.binary(16)
STATUS = [
    pa.field("status", pa.string(), False),  # ok | quarantined (for probes also ineligible)
    pa.field("error_stage", pa.string()),
    pa.field("error_code", pa.string()),
    pa.field("error_message", pa.string()),
    pa.field("attempts", pa.int32(), False),
]
PLAN_KEYS = pa.schema([pa.field("key", ID, False), pa.field("part", pa.string(), False)])
PLAN_PARTS = pa.schema(
    [
        pa.field("part", pa.string(), False),
        pa.field("bucket", pa.int32(), False),
        pa.field("count", pa.int32(), False),  # of its keys
        pa.field("file", pa.string(), False),  # of the plan, with its keys
    ]
)
JOB_PARTS = pa.schema([pa.field("part", pa.string(), False), pa.field("count", pa.int32(), False)])

LISTING = pa.schema(
    [
        pa.field("source_key", ID, False),  # of (uri, bytes, version): what was looked at
        pa.field("uri", pa.string(), False),
        pa.field("name", pa.string(), False),  # relative to the source root: the same on every machine
        pa.field("bytes", pa.int64()),  # NULL: not known before it is fetched
        pa.field("version", pa.string(), False),  # mtime:<ns>, etag:<tag>, of a tar member with its place; "": unknown
        pa.field("licence", pa.string()),
        pa.field("attribution", pa.string()),
        pa.field("url", pa.string()),
        pa.field("transcript", pa.string()),  # a known one, for measuring ours against: never a training text
        pa.field("extra", pa.string()),  # every other column of the list or sidecar, as one JSON object
        pa.field("refused", pa.string()),  # code of why it is never read, e.g. source:unsafe_member
        pa.field("revision", pa.int32(), False),  # of its notes: 0, and one more each time that they changed
    ]
)
TRACK = pa.struct(
    [
        ("index", pa.int32()),
        ("codec", pa.string()),
        ("rate", pa.int32()),
        ("channels", pa.int32()),
        ("layout", pa.string()),
        ("language", pa.string()),
        ("disposition", pa.list_(pa.string())),
    ]
)
PROBES = pa.schema(
    [
        *LISTING,
        pa.field("source_id", ID),
        pa.field("container", pa.string()),
        pa.field("duration_s", pa.float64()),
        pa.field("video_codec", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("fps_num", pa.int32()),
        pa.field("fps_den", pa.int32()),
        pa.field("audio_codec", pa.string()),
        pa.field("audio_rate", pa.int32()),
        pa.field("audio_channels", pa.int32()),
        pa.field("audio_index", pa.int32()),  # the chosen stream; all of them are in audio_tracks
        pa.field("audio_tracks", pa.list_(TRACK)),
        pa.field("pix_fmt", pa.string()),
        pa.field("bits", pa.int32()),
        pa.field("rotation", pa.int32()),
        pa.field("field_order", pa.string()),  # progressive | interlaced | tt | bb | tb | bt, as flagged
        pa.field("matrix", pa.string()),  # colour tags by their H.273 names; unknown where there is none
        pa.field("transfer", pa.string()),
        pa.field("primaries", pa.string()),
        pa.field("colour_range", pa.string()),
        pa.field("look", pa.string()),  # what its tags and flags amount to (media/look.py)
        pa.field("answer", pa.string()),  # all that the probe said, JSON: who cuts need not open the file for it
        pa.field("recipe", pa.string(), False),
        *STATUS,
    ]
)
CONTENTS = pa.schema([PROBES.field("source_id").with_nullable(False), *[f for f in PROBES if f.name != "source_id"]])
"""A row a content: the probe of the uri that was seen first with it."""
_OF_PROBES = {"status", "answer", "recipe", "refused", "revision"}
SOURCES = pa.schema(
    [
        *[PROBES.field(name) for name in PROBES.names if name not in _OF_PROBES],
        pa.field("outcome", pa.string(), False),  # ok | ineligible | duplicate | quarantined | pending
        pa.field("duplicate_of", pa.string()),  # uri of the first source with this content
        pa.field("clips", pa.int32()),
    ]
)
CUTS = pa.schema(
    [
        pa.field("source_id", ID, False),
        pa.field("bucket", pa.int32(), False),
        pa.field("shots", pa.int32()),
        pa.field("frames_decoded", pa.int64()),
        pa.field("clips", pa.int32()),
        pa.field("recipe", pa.string(), False),
        *STATUS,
    ]
)
CLIPS = pa.schema(
    [
        pa.field("clip_id", ID, False),
        pa.field("source_id", ID, False),
        pa.field("bucket", pa.int32(), False),
        pa.field("uri", pa.string(), False),
        pa.field("name", pa.string(), False),
        pa.field("bytes", pa.int64(), False),  # of the source, with its version: a replaced file is another source
        pa.field("version", pa.string(), False),
        pa.field("start_us", pa.int64(), False),
        pa.field("end_us", pa.int64(), False),
        pa.field("start_frame", pa.int64(), False),
        pa.field("frames", pa.int32(), False),
        pa.field("fps_num", pa.int32(), False),
        pa.field("fps_den", pa.int32(), False),
        pa.field("width", pa.int32(), False),
        pa.field("height", pa.int32(), False),
        pa.field("audio_rate", pa.int32(), False),
        pa.field("audio_channels", pa.int32(), False),
        pa.field("origin_s", pa.float64(), False),  # where the frame grid starts on the file's own clock
        pa.field("video_index", pa.int32(), False),  # streams of the file
        pa.field("audio_index", pa.int32(), False),
        pa.field("audio_anchor_s", pa.float64(), False),  # the clock of its sound: see media.probe.AudioTrack
        pa.field("audio_step", pa.int32(), False),
        pa.field("audio_slack_s", pa.float64(), False),
        pa.field("look", pa.string(), False),  # how the stored picture becomes the shown one (media/look.py)
        pa.field("recipe", pa.string(), False),
    ]
)
KEY = [
    pa.field("clip_id", ID, False),
    pa.field("source_id", ID, False),
    pa.field("bucket", pa.int32(), False),
    pa.field("recipe", pa.string(), False),
    *STATUS,
]
VERDICTS = pa.schema(
    [
        pa.field("clip_id", ID, False),
        pa.field("keep", pa.bool_(), False),
        pa.field("bypass", pa.bool_(), False),
        pa.field("rejected_by", pa.list_(pa.string()), False),
        pa.field(
            "reasons",
            pa.list_(
                pa.struct(
                    [
                        ("gate", pa.string()),
                        ("measure", pa.string()),
                        ("value", pa.float64()),
                        ("min", pa.float64()),
                        ("max", pa.float64()),
                    ]
                )
            ),
            False,
        ),
        pa.field("unmeasured", pa.list_(pa.string()), False),
        pa.field("audio_class", pa.string()),
        pa.field("tasks", pa.list_(pa.string()), False),
        pa.field("score", pa.float64()),  # the policy's soft score in [0, 1]
    ]
)
NEAR = pa.schema(
    [
        pa.field("pair", pa.binary(32), False),  # a, then b
        pa.field("a", ID, False),  # clip ids, a < b
        pa.field("b", ID, False),
        pa.field("a_source", ID, False),
        pa.field("b_source", ID, False),
        pa.field("picture", pa.float64()),  # share of differing bits at the best shift; NULL: not comparable
        pa.field("sound", pa.float64()),
    ]
)
DUPLICATES = pa.schema(
    [
        pa.field("clip_id", ID, False),
        pa.field("source_id", ID, False),
        pa.field("canonical", ID, False),  # the clip that stays in its place
        pa.field("picture", pa.float64()),  # distances of the two
        pa.field("sound", pa.float64()),
    ]
)
SHARDS = pa.schema(
    [
        pa.field("generation", pa.string(), False),
        pa.field("shard", pa.string(), False),
        pa.field("sha256", pa.string(), False),
        pa.field("bytes", pa.int64(), False),
        pa.field("count", pa.int32(), False),
        pa.field("fields", pa.list_(pa.string())),  # of a sample's JSON, and of its `texts`
        pa.field("texts", pa.list_(pa.string())),
        pa.field("recipe", pa.string(), False),
    ]
)
RELEASE = pa.schema(
    [
        pa.field("clip_id", ID, False),
        pa.field("source_id", ID, False),
        pa.field("bucket", pa.int32(), False),
        pa.field("shard", pa.int32(), False),
    ]
)
"""Which clip goes to which shard of a generation."""
SAMPLES = pa.schema(
    [
        pa.field("clip_id", ID, False),
        pa.field("source_id", ID, False),
        pa.field("bucket", pa.int32(), False),
        pa.field("generation", pa.string(), False),
        pa.field("shard", pa.string()),
        pa.field("offset", pa.int64()),  # of the sample's first tar header in the shard
        pa.field("size", pa.int64()),  # of its members, headers and padding included
        pa.field("mp4_sha256", pa.string()),
        pa.field("split", pa.string(), False),
        pa.field("audio_class", pa.string(), False),
        pa.field("tasks", pa.list_(pa.string()), False),
        pa.field("frames", pa.int32()),
        pa.field("audio_samples", pa.int64()),  # at 44.1 kHz
        pa.field("text_bytes", pa.int32()),  # of the audio, speech and video texts together
        pa.field("recipe", pa.string(), False),
        *STATUS,
    ]
)
EVENTS = pa.schema(
    [
        ("job", pa.string()),
        ("part", pa.string()),
        ("attempt", pa.int32()),
        ("host", pa.string()),
        ("pid", pa.int64()),
        ("started_s", pa.float64()),
        ("seconds", pa.float64()),
        ("cpu_seconds", pa.float64()),
        ("rows", pa.int32()),
        ("deaths", pa.list_(pa.string())),  # how processes of the part ended that should not have
        ("stages", pa.list_(pa.struct([("stage", pa.string()), ("seconds", pa.float64())]))),
        ("causes", pa.list_(pa.struct([("cause", pa.string()), ("rows", pa.int32())]))),
    ]
)


def stage_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """The table of one stage: the key, the status, and its own nullable columns. Raises ValueError on a taken name."""
    if taken := {known.name for known in KEY} & columns.keys():
        raise ValueError(f"columns {sorted(taken)} belong to every table: a stage cannot name its own so")
    return pa.schema([*KEY, *(pa.field(name, kind) for name, kind in columns.items())])
