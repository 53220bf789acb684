"""Replay: one stage on one clip here, beside what is stored; nothing is committed by it."""

import json

import numpy as np
import pytest
import soundfile
import typer

from manifests.errors import ConfigError, MediaError
from pipeline import cli
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import filter as filter_job
from pipeline.jobs import find_row, ingest, replay, replay_source

pytestmark = pytest.mark.usefixtures("one_by_one")


@pytest.fixture
def context(tmp_path, small_sources, small_preset, one_by_one):
    found = Context(tmp_path / "out", load(str(small_preset), []))
    ingest.run(found, [small_sources])
    filter_job.run(found)
    return found


def clip_ids(context):
    return context.catalog.require("clips", "").read(["clip_id"])["clip_id"].to_pylist()


def files_of(context):
    return {path: path.stat().st_mtime_ns for path in context.out.rglob("*") if path.is_file()}


def test_a_clip_replayed_here_and_in_a_hand_equals_what_is_stored(context, tmp_path, capsys):
    clip = clip_ids(context)[0].hex()
    before = files_of(context)
    for stage, guarded in (("audio.loudness", False), ("video.stills", True)):
        told = replay.run(context, clip[:8], stage, guarded=guarded)
        assert told["equal"] is True and told["status"] == "ok" and told["recipe_is_the_stored_one"] is True
        assert told["clip_id"] == clip and len(told["columns"]) >= 4
    told = replay.run(context, clip, "video.stills", save=tmp_path / "seen")
    assert told["equal"] and all(name.endswith(".png") for name in told["saved"]) and len(told["saved"]) > 1
    told = replay.run(context, clip, "audio.loudness", save=tmp_path / "heard")
    (wav,) = told["saved"]
    sound, rate = soundfile.read(wav)
    assert len(sound) == rate and np.abs(sound).max() > 0.1  # a clip of one second
    assert files_of(context) == before


def test_what_is_not_stored_has_nothing_to_be_compared_with(context):
    told = replay.run(context, clip_ids(context)[0].hex(), "video.motion")
    assert told["equal"] is None and told["columns"] and told["recipe_is_the_stored_one"] is None


def test_errors_come_with_their_traceback_and_are_compared(context, monkeypatch, capsys):
    from filters.audio import loudness

    def broken(self, clip, views, facts):
        raise MediaError("media:odd", "this one is odd")

    monkeypatch.setattr(loudness.STAGE, "__call__", broken)
    clip = clip_ids(context)[0].hex()
    told = replay.run(context, clip, "audio.loudness")
    assert told["status"] == "quarantined" and told["equal"] is False
    assert told["error"] == {"stage": "audio.loudness", "code": "media:odd", "message": "this one is odd"}
    shown = capsys.readouterr().err
    assert "Traceback" in shown and "raise MediaError" in shown


@pytest.mark.parametrize("guarded", [False, True])
def test_sources_are_probed_and_cut_again(context, guarded):
    for job in replay_source.JOBS:
        told = replay_source.run(context, "clip3.mp4", job, guarded)
        assert told["equal"] is True and told["status"] == "ok", (job, told)
    assert [row["now"] for row in told["columns"] if row["column"] == "clips"] == [2]
    bad = replay_source.run(context, "half.mp4", "probe", guarded)
    assert bad["status"] == "quarantined" and bad["equal"] is True  # it fails as it did
    plain = replay_source.run(context, "note.txt", "probe", guarded)
    assert plain["status"] == "ineligible" and plain["equal"] is True
    with pytest.raises(ConfigError, match="was never cut"):
        replay_source.run(context, "half.mp4", "cut", guarded)


def test_ids_are_found_by_their_beginning(context):
    one, two = sorted(clip_ids(context))[:2]
    assert find_row.find_clip(context.catalog, one.hex()[:10].upper())["clip_id"] == one
    assert one != two
    with pytest.raises(ConfigError, match="no clip id"):
        find_row.find_clip(context.catalog, "clip1")
    with pytest.raises(ConfigError, match="no clip 'f" + "f" * 31):
        find_row.find_clip(context.catalog, "f" * 32)
    with pytest.raises(ConfigError, match="more than one clip"):
        shared = next(d for d in "0123456789abcdef" if sum(c.hex()[0] == d for c in clip_ids(context)) > 1)
        find_row.find_clip(context.catalog, shared)


def test_the_command_ends_with_1_when_they_differ(context, monkeypatch, capsys, small_preset):
    clip = clip_ids(context)[0].hex()
    cli.replay(context.out, clip, "audio.fidelity", preset=str(small_preset), json=True)
    assert json.loads(capsys.readouterr().out)["equal"] is True
    from filters.audio import fidelity

    monkeypatch.setattr(fidelity.STAGE, "__call__", lambda self, clip, views, facts: {"snr_db": 1.0})
    with pytest.raises(typer.Exit):
        cli.replay(context.out, clip, "audio.fidelity", preset=str(small_preset))
    assert "snr_db" in capsys.readouterr().err
