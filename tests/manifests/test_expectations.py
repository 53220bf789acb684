import pyarrow as pa
import pytest

from manifests.catalog import Catalog
from manifests.errors import KlearError
from manifests.expectations.check import complain, tables
from manifests.schema import CLIPS, ID


def check(catalog, names, declared=None):
    """Table -> expectations met; raises what is not."""
    found = tables(catalog, names, declared or {})
    complain(found)
    return {one.table: one.met for one in found}


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
        "origin_s": 0.0,
        "video_index": 0,
        "audio_index": 1,
        "audio_anchor_s": 0.0,
        "audio_step": 0,
        "audio_slack_s": 0.0,
        "look": "",
        "recipe": "r",
    }
    return {**row, **changes}


def catalog_of(tmp_path, rows):
    catalog = Catalog(tmp_path)
    catalog.set_current(catalog.table("clips", "r" * 32, CLIPS)).publish("all", rows)
    return catalog


def test_a_good_table_passes(tmp_path):
    assert check(catalog_of(tmp_path, [clip(1), clip(2)]), ["clips"])["clips"] > 20


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([clip(1, frames=0)], "clips.frames"),
        ([clip(1, width=100_000)], "100000"),
        ([clip(1), clip(1)], "clips clip_id is unique: not so in 1 of 2: clip_id = 01"),
    ],
)
def test_a_violation_names_the_column_and_the_value(tmp_path, rows, complaint):
    with pytest.raises(KlearError, match="expectations") as caught:
        check(catalog_of(tmp_path, rows), ["clips"])
    assert caught.value.code == "validate:failed"
    assert complaint in caught.value.message


def test_a_clip_of_no_source_is_an_orphan(tmp_path):
    from manifests.schema import CUTS

    catalog = catalog_of(tmp_path, [clip(1)])
    catalog.set_current(catalog.table("cuts", "r" * 32, CUTS)).publish("all", [])
    with pytest.raises(KlearError, match="not so in 1 of"):
        check(catalog, ["clips"])


def test_a_row_of_no_clip_is_an_orphan(tmp_path):
    import pyarrow as pa

    from manifests.schema import stage_schema

    catalog = catalog_of(tmp_path, [clip(1)])
    stage = catalog.set_current(catalog.table("a.stage", "r" * 32, stage_schema({"x_ratio": pa.float64()})))
    row = {"source_id": b"s" * 16, "bucket": 0, "recipe": "r", "status": "ok", "attempts": 1, "x_ratio": 0.5}
    stage.publish("p", [row | {"clip_id": bytes([1]) * 16}])
    assert check(catalog, ["a.stage"])["a.stage"] > 5
    stage.publish("q", [row | {"clip_id": bytes([9]) * 16}])
    with pytest.raises(KlearError, match="not so in 1 of"):
        check(catalog, ["a.stage"])


def test_tables_of_clips_are_checked_some_buckets_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("manifests.query.GROUP", 1)
    catalog = Catalog(tmp_path)
    clips = catalog.set_current(catalog.table("clips", "r" * 32, CLIPS))
    measured = catalog.set_current(
        catalog.table("m", "r" * 32, pa.schema([("clip_id", ID), ("some_ratio", pa.float64())]))
    )
    for bucket in range(3):
        clips.publish(f"b{bucket:04x}-x", [clip(bucket, bucket=bucket)])
        measured.publish(f"b{bucket:04x}-x", [{"clip_id": bytes([bucket]) * 16, "some_ratio": 0.5}])
    assert check(catalog, ["m"])["m"] == 4
    measured.publish("b0002-y", [{"clip_id": b"\2" * 16, "some_ratio": 0.5}])
    measured.publish("b0007-x", [{"clip_id": b"?" * 16, "some_ratio": 7.0}])
    with pytest.raises(KlearError) as caught:
        check(catalog, ["m"])
    for what in ("m clip_id is unique: not so in 1 of 5", "m.clip_id is in clips: not so in 1 of 5", "m.some_ratio"):
        assert what in caught.value.message
