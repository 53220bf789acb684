"""A changed recipe is a new table, of what it affects and nothing else."""

import shutil

import pytest

from manifests.errors import ConfigError
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, decide, ingest, shard, status
from pipeline.jobs import filter as filter_job

LOOSE = "engine.max_error_rate=1.0"


@pytest.fixture
def run(tmp_path, small_sources, small_preset, one_by_one):
    """Everything once more with settings more; table -> recipe after it."""

    def again(*sets):
        context = Context(tmp_path / "out", load(str(small_preset), [LOOSE, *sets]))
        ingest.run(context, [small_sources])
        filter_job.run(context)
        annotate.run(context)
        decide.run(context)
        shard.run(context)
        return {name: context.catalog.current(name).recipe for name in context.catalog.names() if name != "events"}

    return again


def stages(done):
    return {job for job, _, rows in done if rows}


def test_nothing_changed_nothing_done(run, one_by_one):
    before, worked = run(), len(one_by_one)
    assert run() == before and not one_by_one[worked:]


def test_another_encoder_setting_touches_the_shards_alone(run, one_by_one):
    before, worked = run(), len(one_by_one)
    after = run("shard.crf=30")
    assert stages(one_by_one[worked:]) == {"shard"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"release", "samples", "shards"}


def test_a_measure_with_another_parameter_is_measured_again_and_its_neighbours_are_not(
    run, one_by_one, monkeypatch, tmp_path
):
    from filters.audio.fidelity import STAGE

    before, worked = run(), len(one_by_one)
    monkeypatch.setattr(STAGE, "VERSION", STAGE.VERSION + 1)
    after = run()
    changed = {name for name in before if before[name] != after[name]}
    assert "audio.fidelity" in changed
    assert not changed & {"clips", "cuts", "canonical", "probe", "audio.loudness", "video.technical", "video.stills"}
    assert stages(one_by_one[worked:]) <= {"measure.cheap", "annotate", "shard"}


def test_another_cut_makes_other_clips_and_no_other_sources(run, one_by_one, tmp_path, small_preset):
    before, worked = run(), len(one_by_one)
    after = run("cut.max_s=2.0")
    assert not {"probe", "listing"} & stages(one_by_one[worked:])
    assert before["clips"] != after["clips"] and before["canonical"] == after["canonical"]
    found = status.of(Context(tmp_path / "out", load(str(small_preset), [LOOSE])).catalog)
    assert found["clips"]["total"] == 5 and found["clips"]["pending"] == 0  # one of 2 s each, in place of two of 1 s


def test_a_command_with_the_buckets_of_another_preset_keeps_those_of_the_folder(run, tmp_path, small_preset):
    run()
    before = status.of(Context(tmp_path / "out", load(str(small_preset), [])).catalog)
    run("engine.bucket_bits=8")
    other = Context(tmp_path / "out", load(str(small_preset), ["engine.bucket_bits=8"]))
    assert other.settings.engine.bucket_bits == 1
    decide.run(other)
    after = status.of(other.catalog)
    assert (after["clips"], after["sources"]) == (before["clips"], before["sources"])


def test_what_a_run_wrote_is_not_its_source(tmp_path, small_sources, small_preset, one_by_one):
    folder = tmp_path / "in"
    shutil.copytree(small_sources, folder)
    context = Context(folder / "out", load(str(small_preset), [LOOSE]))
    first = ingest.run(context, [folder])
    filter_job.run(context)
    annotate.run(context)
    shard.run(context)
    assert ingest.run(context, [folder])["sources"] == first["sources"] == 9
    with pytest.raises(ConfigError, match="is the output of a run"):
        ingest.run(context, [folder / "out"])
    assert ingest.run(context, [folder / "out" / "shards"])["sources"] > 9  # asked for by name, they are sources


def test_a_bucket_that_holds_the_output_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="lies in the source s3://raw"):
        ingest._check_apart(["s3://raw/"], "s3://raw/out")
    ingest._check_apart(["s3://raw", "s3://raw/out"], "s3://raw2/out")
