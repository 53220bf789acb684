"""A changed recipe is a new table, of what it affects and nothing else."""

import pytest

from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, decide, ingest, shard, status
from pipeline.jobs import filter as filter_job

LOOSE = "engine.max_error_rate=1.0"


@pytest.fixture
def run(tmp_path, small_sources, small_preset, in_process):
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


def test_nothing_changed_nothing_done(run, in_process):
    before, worked = run(), len(in_process)
    assert run() == before and not in_process[worked:]


def test_another_encoder_setting_touches_the_shards_alone(run, in_process):
    before, worked = run(), len(in_process)
    after = run("shard.crf=30")
    assert stages(in_process[worked:]) == {"shard"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"release", "samples", "shards"}


def test_a_measure_with_another_parameter_is_measured_again_and_its_neighbours_are_not(
    run, in_process, monkeypatch, tmp_path
):
    from filters.audio.fidelity import STAGE

    before, worked = run(), len(in_process)
    monkeypatch.setattr(STAGE, "VERSION", STAGE.VERSION + 1)
    after = run()
    changed = {name for name in before if before[name] != after[name]}
    assert "audio.fidelity" in changed
    assert not changed & {"clips", "cuts", "canonical", "probe", "audio.loudness", "video.technical", "video.stills"}
    assert stages(in_process[worked:]) <= {"measure.cheap", "annotate", "shard"}


def test_another_cut_makes_other_clips_and_no_other_sources(run, in_process, tmp_path, small_preset):
    before, worked = run(), len(in_process)
    after = run("cut.max_s=2.0")
    assert not {"probe", "listing"} & stages(in_process[worked:])
    assert before["clips"] != after["clips"] and before["canonical"] == after["canonical"]
    found = status.of(Context(tmp_path / "out", load(str(small_preset), [LOOSE])).catalog)
    assert found["clips"]["total"] == 5 and found["clips"]["pending"] == 0  # one of 2 s each, in place of two of 1 s
