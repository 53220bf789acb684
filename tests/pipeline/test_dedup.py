"""Dedup from end to end: a re-upload is rejected and says of whom, another soundtrack is not, releases stand."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from manifests.errors import ConfigError
from manifests.query import connect, rows
from media.synth.picture import backdrop
from media.synth.scenes import Scene, bounce
from media.synth.sounds import DRUM, METAL, RATE
from media.writer import write_mp4
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, card, decide, dedup, filter, ingest, shard, status, validate

PRESET = """
cut: {min_s: 1.5, max_s: 4.0}
tiers:
  - {name: cheap, stages: [{name: audio.loudness}, {name: duplicates.fingerprint}, {name: video.technical}]}
policy: POLICY
annotate: [{name: caption.audio_template}, {name: caption.video_template}, {name: compose.texts}]
shard: {shards: 2, val: 0.3, x264_preset: ultrafast}
engine: {part_clips: 2, bucket_bits: 2}
"""
POLICY = "name: small\ngates:\n  - {name: quiet, measure: audio.loudness.rms_db, min: MIN, source: ours}\n"


def scene(seed: int) -> Scene:
    colours = ((120, 160, 205), (150, 120, 90)) if seed % 2 else ((60, 90, 110), (155, 175, 60))
    return bounce(
        backdrop(seed, *colours), seed, 3.0, 25, (205, 45, 40), 320.0 + 90 * seed, METAL if seed % 2 else DRUM
    )


def write(folder: Path, name: str, made: Scene, crf: int = 20) -> None:
    write_mp4(folder / name, made.frames, 25, made.sound, RATE, crf=crf)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two films; a re-upload of the first (half the size, re-encoded, quieter, cut 0.28 s in); one with other sound."""
    folder = tmp_path_factory.mktemp("uploads")
    first, second = scene(1), scene(2)
    write(folder, "first.mp4", first)
    write(folder, "second.mp4", second)
    small = np.stack([cv2.resize(f, (160, 100), interpolation=cv2.INTER_AREA) for f in first.frames[7:]])
    again = Scene(small, 25, 0.5 * first.sound[round(0.28 * RATE) :])
    write(folder, "again.mp4", again, crf=32)
    write(folder, "dubbed.mp4", replace(first, sound=second.sound))
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("preset") / "small.yaml"
    path.with_name("policy.yaml").write_text(POLICY.replace("MIN", "-60"))
    path.write_text(PRESET.replace("POLICY", str(path.with_name("policy.yaml"))))
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory, sources, preset, module_one_by_one) -> Context:
    context = Context(tmp_path_factory.mktemp("out"), load(str(preset), []))
    ingest.run(context, [str(sources)])
    filter.run(context)
    return context


def verdicts(context: Context) -> dict[str, dict]:
    sql = "SELECT c.name, v.* FROM verdicts v JOIN clips c USING (clip_id)"
    return {row["name"]: row for row in rows(connect(context.catalog), sql)}


def test_before_dedup_everyone_stays(measured: Context) -> None:
    assert decide.run(measured)["kept"] == 4


def test_a_re_upload_is_a_duplicate_and_a_dubbed_film_is_not(measured: Context) -> None:
    result = dedup.run(measured)
    assert (result["clips"], result["duplicates"], result["kept"]) == (4, 1, 3)
    found = verdicts(measured)
    one, two = sorted([found["first.mp4"], found["again.mp4"]], key=lambda row: row["clip_id"])
    assert one["keep"] and found["dubbed.mp4"]["keep"] and found["second.mp4"]["keep"]
    assert not two["keep"] and two["rejected_by"] == ["duplicate"] and two["tasks"] == []
    assert [r["measure"] for r in two["reasons"]] == [
        f"{w}, duplicate of {one['clip_id'].hex()}" for w in ("picture", "sound")
    ]
    assert all(r["gate"] == "duplicate" and r["value"] < r["min"] == 0.2 for r in two["reasons"])
    assert decide.run(measured)["yields"][-1] == {
        "gate": "duplicate", "scope": "clip", "measured": 4, "failed": 1, "rejected": 1, "alone": 1
    }  # fmt: skip
    assert status.of(measured.catalog)["clips"]["rejected"] == 1
    assert validate.run(measured.catalog)[0]["failed"] == []


def test_a_second_run_changes_nothing(measured: Context) -> None:
    dedup.run(measured)
    before = {path: path.stat().st_mtime_ns for path in measured.out.rglob("*.parquet")}
    assert dedup.run(measured)["bands"] == []
    assert {path: path.stat().st_mtime_ns for path in measured.out.rglob("*.parquet")} == before


def test_what_must_agree_is_a_setting(measured: Context) -> None:
    dedup.run(measured)
    picture = replace(measured, settings=measured.settings.model_copy(update={"dedup": load_dedup("picture")}))
    assert decide.run(picture)["kept"] == 2  # dubbed.mp4 goes too
    assert decide.run(measured)["kept"] == 3


def load_dedup(require: str):
    from pipeline.config import DedupSettings

    return DedupSettings(require=require)


def test_a_rejected_clip_stands_for_nobody(measured: Context, tmp_path: Path) -> None:
    """The louder of two copies alone passes a strict policy: it stays, whichever id is smaller."""
    dedup.run(measured)
    levels = rows(
        connect(measured.catalog),
        'SELECT c.name, l.rms_db FROM "audio.loudness" l JOIN clips c USING (clip_id) WHERE c.name IN '
        "('first.mp4', 'again.mp4') ORDER BY l.rms_db",
    )
    policy = tmp_path / "strict.yaml"
    policy.write_text(POLICY.replace("MIN", str(levels[0]["rms_db"] + 1)))
    strict = replace(measured, settings=measured.settings.model_copy(update={"policy": str(policy)}))
    decide.run(strict)
    found = verdicts(strict)
    assert found["first.mp4"]["keep"] and found["again.mp4"]["rejected_by"] == ["quiet"]
    decide.run(measured)


@pytest.mark.slow
def test_what_was_released_stays(tmp_path: Path, sources: Path, preset: Path, module_one_by_one) -> None:
    """Released while alone, a clip stays canonical when its copy arrives, whichever id is smaller."""
    for name, other in (("first.mp4", "again.mp4"), ("again.mp4", "first.mp4")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_bytes((sources / name).read_bytes())
        context = Context(tmp_path / f"out-{name}", load(str(preset), []))
        for _ in range(2):
            ingest.run(context, [str(folder)])
            filter.run(context)
            dedup.run(context)
            annotate.run(context)
            decide.run(context)
            released = shard.run(context)
            (folder / other).write_bytes((sources / other).read_bytes())
        found = verdicts(context)
        assert found[name]["keep"] and found[other]["rejected_by"] == ["duplicate"]
        assert released["generation"] == "g0001"  # nothing new to release
    card.run(context)


def test_dedup_needs_fingerprints(tmp_path: Path, small_preset: Path, measured: Context) -> None:
    bare = replace(measured, settings=load(str(small_preset), []))
    with pytest.raises(ConfigError, match=r"add it to the first"):
        dedup.run(bare)
