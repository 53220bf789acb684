"""Clips that are held together: a stage that takes several is asked once, and a bad clip is blamed alone."""

import numpy as np
import pytest

from manifests.errors import MachineError
from media.views import AUDIO_16K, Views
from pipeline.engine.stopwatch import Stopwatch
from pipeline.jobs import clip_group
from pipeline.jobs.clip_group import Held


class Alone:
    """Twice the number of the clip; fails on number 13."""

    NAME = "test.alone"

    def __init__(self):
        self.asked = []

    def __call__(self, clip, views, facts):
        self.asked.append(clip)
        if clip == 13:
            raise ValueError("thirteen")
        return {"twice": 2 * clip}


class Together(Alone):
    """The same, several at once; reads what `Alone` said."""

    NAME = "test.together"

    def __init__(self, error=ValueError):
        super().__init__()
        self.groups, self.error = [], error

    def many(self, given):
        self.groups.append([clip for clip, _, _ in given])
        if 13 in self.groups[-1]:
            raise self.error("test:code", "thirteen") if self.error is MachineError else self.error("thirteen")
        return [{"twice": facts["test.alone"]["twice"]} for _, _, facts in given]


def held(*clips):
    made = [Held({"clip_id": clip}, {}) for clip in clips]
    for one in made:
        one.clip, one.views = one.row["clip_id"], Views({AUDIO_16K: np.zeros(1, np.float32)})
    return made


def ask(clips, *stages):
    with Stopwatch() as watch:
        clip_group.run(clips, stages, watch)
    return {lap["stage"] for lap in watch.rows()}


def test_several_are_asked_once():
    clips, first, second = held(1, 2, 3), Alone(), Together()
    assert ask(clips, first, second) == {"test.alone", "test.together", "cpu"}
    assert first.asked == [1, 2, 3] and second.groups == [[1, 2, 3]] and second.asked == []
    assert [one.values["test.together"] for one in clips] == [{"twice": 2}, {"twice": 4}, {"twice": 6}]


def test_a_single_clip_is_asked_alone():
    clips, stage = held(5), Together()
    ask(clips, stage)
    assert stage.groups == [] and clips[0].values["test.together"] == {"twice": 10}


def test_only_the_bad_one_is_blamed(caplog):
    class Lonely(Together):
        def many(self, given):
            self.groups.append([clip for clip, _, _ in given])
            raise ValueError("one of you")

    clips, stage = held(1, 13, 3), Lonely()
    ask(clips, stage)
    assert stage.asked == [1, 13, 3]
    assert "test.together could not take 3 clips" in caplog.text and "one of you" in caplog.text
    assert [one.bad and one.bad[0] for one in clips] == [None, "test.together", None]
    assert clips[1].bad[2] == "thirteen" or "thirteen" in clips[1].bad[2]
    assert [sorted(one.values) for one in clips] == [["test.together"], [], ["test.together"]]


def test_a_bad_clip_goes_no_further():
    clips, first, second = held(1, 13, 3), Alone(), Together()
    ask(clips, first, second)
    assert second.groups == [[1, 3]] and clips[1].bad[0] == "test.alone" and clips[1].values == {}


def test_a_machine_in_trouble_blames_no_clip():
    clips = held(1, 13)
    clips[1].facts["test.alone"] = clips[0].facts["test.alone"] = {"twice": 0}
    with pytest.raises(MachineError):
        ask(clips, Together(MachineError))
    assert [one.bad for one in clips] == [None, None]


def test_a_number_that_is_none_is_the_fault_of_its_clip_alone():
    class Odd(Together):
        def many(self, given):
            return [{"twice": float("nan") if clip == 13 else 1.0} for clip, _, _ in given]

    clips = held(1, 13, 3)
    ask(clips, Odd())
    assert [one.bad and one.bad[:2] for one in clips] == [None, ("test.together", "measure:not_finite"), None]
    assert "twice is nan" in clips[1].bad[2] and clips[1].values == {}
