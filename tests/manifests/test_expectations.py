import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from manifests.catalog import Catalog
from manifests.expectations.check import tables
from manifests.expectations.contract import CONTRACTS, Declared, of
from manifests.schema import CLIPS, CUTS, EVENTS, ID, SAMPLES, SHARDS, stage_schema

RECIPE = "r" * 32


def found(catalog, name, **declared):
    (one,) = tables(catalog, [name], {name: Declared(**declared)})
    return one


def met(catalog, name, **declared):
    """Expectations met; all of them."""
    one = found(catalog, name, **declared)
    assert not one.unmet, one.unmet
    return one.met


def unmet(catalog, name, **declared):
    """{what is not met: (rows, examples)}"""
    return {f"{u.column} {u.text}".strip(): (u.bad, u.examples) for u in found(catalog, name, **declared).unmet}


def clip(number, **changes):
    row = {
        "clip_id": bytes([number]) * 16,
        "source_id": b"s" * 16,
        "bucket": 0,
        "uri": "file:///a.mp4",
        "name": "a.mp4",
        "bytes": 1000,
        "version": "mtime:0",
        "start_us": 0,
        "end_us": 2_000_000,
        "start_frame": 0,
        "frames": 50,
        "fps_num": 25,
        "fps_den": 1,
        "width": 320,
        "height": 240,
        "audio_rate": 44_100,
        "audio_channels": 2,
        "origin_s": -0.5,
        "video_index": 0,
        "audio_index": 1,
        "audio_anchor_s": -0.1,
        "audio_step": 0,
        "audio_slack_s": 0.0,
        "look": "",
        "recipe": "r",
    }
    return {**row, **changes}


def put(catalog, name, schema, rows, part="all"):
    table = catalog.set_current(catalog.table(name, RECIPE, schema))
    table.publish(part, rows)
    return table


def measured(number, **columns):
    row = {"clip_id": bytes([number]) * 16, "source_id": b"s" * 16, "bucket": 0, "recipe": "r", "attempts": 1}
    return {**row, "status": "ok", **columns}


@pytest.fixture
def catalog(tmp_path):
    """Two clips."""
    catalog = Catalog(tmp_path)
    put(catalog, "clips", CLIPS, [clip(1), clip(2)])
    return catalog


def test_a_good_table_passes(catalog):
    assert met(catalog, "clips") > 30


@pytest.mark.parametrize(
    ("change", "expected", "value"),
    [
        ({"frames": 0}, "frames is at least 1", {"frames": 0}),
        ({"width": 100_000}, "width is from 1 to 65,536", {"width": 100_000}),
        ({"audio_slack_s": -0.5}, "audio_slack_s is at least 0", {"audio_slack_s": -0.5}),
        ({"origin_s": float("nan")}, "origin_s is a finite number", {"origin_s": "nan"}),
        ({"audio_slack_s": float("nan")}, "audio_slack_s is at least 0", {"audio_slack_s": "nan"}),
        ({"audio_anchor_s": float("inf")}, "audio_anchor_s is a finite number", {"audio_anchor_s": "inf"}),
        ({"end_us": 0}, "a clip ends after it starts", {"start_us": 0, "end_us": 0}),
    ],
)
def test_a_value_out_of_range_is_named_with_its_row(tmp_path, change, expected, value):
    catalog = Catalog(tmp_path)
    put(catalog, "clips", CLIPS, [clip(1), clip(2, **change), clip(3)])
    assert unmet(catalog, "clips") == {expected: (1, [{"clip_id": "02" * 16, **value}])}


def test_a_repeated_key_is_found_in_whatever_part(catalog):
    put(catalog, "clips", CLIPS, [clip(2)], part="again")
    assert unmet(catalog, "clips") == {"clip_id is unique": (1, [{"clip_id": "02" * 16, "times": 2}])}


def test_a_null_where_none_may_be(catalog):
    """A file may have been written by something that allowed it."""
    loose = pa.schema([column.with_nullable(True) for column in CLIPS])
    catalog.table("clips", RECIPE, loose).publish("loose", [clip(3, look=None), clip(4, clip_id=None)])
    found = unmet(catalog, "clips")
    assert found["look is never NULL"] == (1, [{"clip_id": "03" * 16, "look": None}])
    assert found["clip_id is never NULL"] == (1, [{"clip_id": None}])
    assert set(found) == {"look is never NULL", "clip_id is never NULL"}  # a NULL is no second key, and no orphan


@pytest.mark.parametrize(
    ("change", "column", "held", "wanted"),
    [
        ({"x_ratio": pa.string()}, "x_ratio", "VARCHAR", "DOUBLE"),
        ({"x_ratio": pa.float32()}, "x_ratio", "FLOAT", "DOUBLE"),
        ({"clip_id": pa.binary(8)}, "clip_id", "BLOB 8", "BLOB 16"),
        ({"spans": pa.list_(pa.string())}, "spans", "VARCHAR[]", "DOUBLE[]"),
        ({"x_ratio": None}, "x_ratio", "absent", "DOUBLE"),
        ({"stray": pa.int8()}, "stray", "TINYINT", "no such column"),
    ],
)
def test_a_file_with_other_columns_is_named(catalog, change, column, held, wanted):
    """One of two files; the rest of the checks are left out, because nothing can be asked of such a table."""
    kinds = {
        field.name: field.type for field in stage_schema({"x_ratio": pa.float64(), "spans": pa.list_(pa.float64())})
    }
    table = put(catalog, "a.stage", pa.schema(list(kinds.items())), [measured(1, x_ratio=0.5, spans=[1.0])])
    other = {name: kind for name, kind in (kinds | change).items() if kind is not None}
    pq.write_table(pa.schema(list(other.items())).empty_table(), table.path("wrong"))
    one = found(catalog, "a.stage")
    example = {"column": column, "found": held, "wanted": wanted, "files": 1, "first": "wrong.parquet"}
    assert [(u.text, u.bad, u.rows, u.examples) for u in one.unmet] == [
        ("has the columns of its schema in every file, by name and type", 1, 2, [example])
    ]
    assert not one.readable and one.met == 0


def test_a_damaged_file_is_a_violation_and_names_itself(catalog):
    table = catalog.current("clips")
    path = table.path("all")
    path.write_bytes(path.read_bytes()[:-100])
    put(catalog, "shards", SHARDS, [])
    broken, sound = tables(catalog, ["clips", "shards"], {})
    assert not broken.readable and "all.parquet" in broken.unmet[0].examples[0]["error"]
    assert sound.readable and not sound.unmet


def test_columns_may_stand_in_another_order_and_allow_null(catalog):
    schema = stage_schema({"x_ratio": pa.float64()})
    table = put(catalog, "a.stage", schema, [measured(1, x_ratio=0.5)])
    turned = pa.schema([column.with_nullable(True) for column in list(schema)[::-1]])
    pq.write_table(pa.Table.from_pylist([measured(2, x_ratio=0.1)], turned), table.path("turned"))
    assert met(catalog, "a.stage") > 10


def test_rows_that_refer_to_nothing_are_orphans(catalog):
    put(catalog, "a.stage", stage_schema({}), [measured(1), measured(9)])
    orphan = {"clip_id is in clips": (1, [{"clip_id": "09" * 16}])}
    assert unmet(catalog, "a.stage") == orphan
    put(catalog, "cuts", CUTS, [])
    assert unmet(catalog, "clips")["source_id is in cuts"][0] == 2


def test_what_was_measured_of_an_earlier_cut_is_no_orphan(catalog):
    put(catalog, "a.stage", stage_schema({}), [measured(1)])
    catalog.set_current(catalog.table("clips", "another", CLIPS)).publish("all", [clip(7)])
    assert met(catalog, "a.stage")


def test_a_sample_names_a_shard_that_is_there(catalog):
    sample = measured(1, generation="g0001", shard="shard-00000.tar", offset=0, size=10, split="train")
    sample |= {"audio_class": "music", "tasks": [], "frames": 5}
    shard = {
        "generation": "g0001",
        "shard": "shard-00000.tar",
        "sha256": "0" * 64,
        "bytes": 10,
        "count": 1,
        "recipe": "r",
    }
    put(catalog, "shards", SHARDS, [shard])
    put(catalog, "samples", SAMPLES, [sample])
    assert met(catalog, "samples") and met(catalog, "shards")
    wrong = {**sample, "clip_id": b"\2" * 16}
    catalog.current("samples").publish("wrong", [wrong | {"shard": "shard-9.tar", "split": "eval"}])
    catalog.current("samples").publish("nowhere", [wrong | {"clip_id": b"\1" * 16, "size": 0}])
    assert set(unmet(catalog, "samples")) == {
        "clip_id is unique",
        "shard is in shards",
        "size is at least 1",
        "split is one of train, val, test",
        "what is ok lies in a shard",
    }


def test_a_stage_declares_the_ranges_and_words_of_its_columns(catalog):
    columns = {
        "level": pa.float64(),
        "sure": pa.string(),
        "tries_s": pa.list_(pa.float64()),
        "lag_offset_s": pa.float64(),
    }
    rows = [
        measured(1, level=2.0, sure="yes", tries_s=[0.0, 1.0], lag_offset_s=-3.0),
        measured(2, level=None, sure=None, tries_s=None, lag_offset_s=None),
    ]
    put(catalog, "a.stage", stage_schema(columns), rows)
    plain = met(catalog, "a.stage")
    assert met(catalog, "a.stage", ranges={"level": (0, 3)}, words={"sure": ("yes", "no")}) == plain + 1
    assert unmet(catalog, "a.stage", ranges={"level": (None, 1)}) == {
        "level is at most 1": (1, [{"clip_id": "01" * 16, "level": 2.0}])
    }
    assert unmet(catalog, "a.stage", words={"sure": ("no",)})["sure is one of no"][0] == 1
    assert unmet(catalog, "a.stage", ranges={"tries_s": (0, 0.5)})["tries_s is from 0 to 0.5"][0] == 1


def test_a_share_may_be_rounded_up(catalog):
    put(catalog, "a.stage", stage_schema({"x_share": pa.float64()}), [measured(1, x_share=0.1 + 0.2 + 0.7 + 1e-15)])
    assert met(catalog, "a.stage") and 0.1 + 0.2 + 0.7 + 1e-15 > 1
    catalog.current("a.stage").publish("more", [measured(2, x_share=1.0001)])
    assert unmet(catalog, "a.stage")["x_share is from 0 to 1"][0] == 1


def test_units_at_the_end_of_a_name_bound_a_column():
    schema = pa.schema([(name, pa.float64()) for name in ("a_share", "b_s", "c_offset_s", "d_hz", "e_px", "f_db")])
    contract = of("x.y", schema, Declared(ranges={"d_hz": (20, None)}), ())
    assert [contract.bounds(column) for column in schema] == [
        (0, 1),
        (0, None),
        (None, None),
        (20, None),
        (0, None),
        (None, None),
    ]


def test_what_is_quarantined_says_why_and_what_is_ok_has_no_error(catalog):
    put(catalog, "a.stage", stage_schema({}), [measured(1, status="quarantined"), measured(2, error_code="media:odd")])
    assert unmet(catalog, "a.stage") == {
        "what is not ok says why": (1, [{"clip_id": "01" * 16, "status": "quarantined", "error_code": None}]),
        "what is ok has no error": (1, [{"clip_id": "02" * 16, "status": "ok", "error_code": "media:odd"}]),
    }


def test_tables_of_clips_are_checked_some_buckets_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("manifests.query.GROUP", 1)
    catalog = Catalog(tmp_path)
    clips = catalog.set_current(catalog.table("clips", RECIPE, CLIPS))
    table = catalog.set_current(catalog.table("m", RECIPE, pa.schema([("clip_id", ID), ("some_ratio", pa.float64())])))
    for bucket in range(3):
        clips.publish(f"b{bucket:04x}-x", [clip(bucket, bucket=bucket)])
        table.publish(f"b{bucket:04x}-x", [{"clip_id": bytes([bucket]) * 16, "some_ratio": 0.5}])
    assert met(catalog, "m") == 4
    table.publish("b0002-y", [{"clip_id": b"\2" * 16, "some_ratio": 0.5}])
    table.publish("b0007-x", [{"clip_id": b"?" * 16, "some_ratio": 7.0}])
    assert found(catalog, "m").rows == 5
    assert {what: bad for what, (bad, _) in unmet(catalog, "m").items()} == {
        "clip_id is unique": 1,
        "clip_id is in clips": 1,
        "some_ratio is from 0 to 1": 1,
    }


def test_every_row_is_looked_at_and_twenty_are_named(catalog):
    rows = 300_000
    ids = pa.array([number.to_bytes(16, "big") for number in range(rows)], ID)
    values = np.full(rows, 0.5)
    values[::1000] = 2.0
    table = catalog.set_current(catalog.table("m", RECIPE, pa.schema([("clip_id", ID), ("some_ratio", pa.float64())])))
    table.publish_table("all", pa.table({"clip_id": ids, "some_ratio": values}))
    bad, examples = unmet(catalog, "m")["some_ratio is from 0 to 1"]
    assert bad == 300 and [int(row["clip_id"], 16) for row in examples] == [1000 * i for i in range(20)]


def test_events_are_told_apart_by_what_they_say(catalog):
    event = {"job": "probe", "part": "p", "attempt": 0, "seconds": -1.0, "cpu_seconds": 1.0, "rows": 1}
    put(catalog, "events", EVENTS, [event, event])
    assert met(catalog, "events")
    catalog.current("events").publish("odd", [event | {"job": None}, event | {"rows": -1}])
    assert set(unmet(catalog, "events")) == {"an event tells its job and part", "rows is at least 0"}


def test_every_contract_names_columns_that_its_table_has():
    from manifests import schema, sightings, takedowns

    known = {
        "listing": schema.LISTING,
        "sightings": sightings.SIGHTINGS,
        "probes": schema.PROBES,
        "canonical": schema.CONTENTS,
        "sources": schema.SOURCES,
        "cuts": CUTS,
        "clips": CLIPS,
        "verdicts": schema.VERDICTS,
        "near": schema.NEAR,
        "duplicates": schema.DUPLICATES,
        "release": schema.RELEASE,
        "samples": SAMPLES,
        "shards": SHARDS,
        "takedowns": takedowns.TAKEDOWNS,
        "taken": takedowns.TAKEN,
        "events": EVENTS,
    }
    assert CONTRACTS.keys() - known.keys() == {"verified", "latents"}  # their schemas are with their jobs
    for name, columns in known.items():
        contract, held = CONTRACTS[name], set(columns.names)
        named = {*contract.key, *(ref.column for ref in contract.refers)}
        named |= {column for rule in contract.rules for column in rule.columns}
        assert named <= held, name
