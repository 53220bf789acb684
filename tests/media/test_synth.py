"""Synthetic clips: their truth is true."""

import csv
import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import BackendAbsent, MediaError
from media.probe import probe
from media.render import render_views
from media.shots import detect_shots
from media.synth import faces, make_set, music, scenes, sounds, speech
from media.synth.picture import HEIGHT, WIDTH, backdrop
from media.views import AUDIO_16K, AudioView, VideoView
from media.whole import whole_clip
from media.writer import write_mp4

GREY = backdrop(1, (90, 90, 100), (70, 70, 60))


@pytest.mark.parametrize("offset", [0.0, 0.2, -0.2])
def test_flash_and_beep_offset(tmp_path: Path, offset: float) -> None:
    scene = scenes.flash_beep(GREY, 5, 4.0, 25, offset)
    write_mp4(tmp_path / "sync.mp4", scene.frames, 25, scene.sound, sounds.RATE)
    picture, sound = VideoView("picture", box=(WIDTH, HEIGHT)), AudioView("sound", channels=1)
    with render_views(whole_clip(tmp_path / "sync.mp4"), [picture, sound]) as views:
        lamp = views[picture][:, 80:100, 150:170].mean((1, 2))
        loud = np.abs(views[sound]) > 0.2
    lit = [i / 25 for i in range(1, len(lamp)) if lamp[i] > 150 > lamp[i - 1]]
    assert lit == pytest.approx(scene.events_s)
    for at in scene.events_s:
        window = slice(round((at + offset - 0.15) * sounds.RATE), round((at + offset + 0.15) * sounds.RATE))
        first = (window.start + int(np.flatnonzero(loud[window])[0])) / sounds.RATE
        assert first - at == pytest.approx(offset, abs=0.003)


def test_balls_touch_the_floor_when_they_are_heard() -> None:
    scene = scenes.bounce(GREY, 20, 4.0, 25, (250, 30, 30), 300.0, sounds.WOOD)
    red = (scene.frames[..., 0].astype(int) - scene.frames[..., 2] > 120).any(2)
    lowest = np.array([np.flatnonzero(rows).max() for rows in red])
    for at in scene.events_s:
        near = round(at * 25)
        assert abs(int(lowest[max(0, near - 3) : near + 4].argmax()) + max(0, near - 3) - at * 25) <= 2
        before, after = (scene.sound[round((at + d) * sounds.RATE) :][:400] for d in (-0.012, 0.001))
        assert sounds.rms(after) > 1.5 * sounds.rms(before)


def test_bars_follow_the_melody() -> None:
    sound, tune = music.melody(60, 4.0, 131.0, music.MAJOR, 0.5)
    levels = music.equaliser(sound, 100, 25)
    assert levels.shape == (100, 16) and levels.min() >= 0 and levels.max() == 1
    edges = np.geomspace(100, 4000, 17)
    for at, hertz in tune:
        bar = int(np.searchsorted(edges, hertz)) - 1
        assert levels[min(99, round((at + 0.1) * 25)), bar] > 0.5


@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
def test_speech_is_the_same_every_time_and_moves_the_mouth() -> None:
    lines = [speech.Line("one two three"), speech.Line("The river is wide", "en-us+f2")]
    first, second = speech.speak(lines), speech.speak(lines)
    for a, b in zip(first, second):
        assert np.array_equal(a.samples, b.samples) and a.words == b.words
    assert [w.word for w in first[1].words] == ["the", "river", "is", "wide"]
    seconds = len(first[0].samples) / sounds.RATE
    assert 0.5 < seconds < 3 and first[0].words[-1].end_s == pytest.approx(seconds, abs=1e-4)
    assert sounds.rms(first[0].samples) == pytest.approx(0.1, rel=0.05)
    voice = np.concatenate([sounds.silence(0.4), first[0].samples])
    mouth = faces.opening(voice, 20, 25)
    assert mouth[:9].max() < 0.05 and mouth[11:18].max() > 0.5


def test_speech_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BackendAbsent, match="pip install espeakng-loader"):
        speech.speak([speech.Line("anything")])


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("espeakng_loader") is None, reason="espeakng-loader is not installed")
def test_the_whole_set(tmp_path: Path) -> None:
    truths = make_set(tmp_path)
    assert {row["file"] for row in json.loads((tmp_path / "truth.json").read_text())} == {t.file for t in truths}
    with (tmp_path / "metadata.tsv").open() as table:
        assert {row["licence"] for row in csv.DictReader(table, delimiter="\t")} == {"CC0-1.0"}
    for truth in truths:
        path = tmp_path / truth.file
        if truth.code:
            with pytest.raises(MediaError) as caught:
                probe(path)
            assert caught.value.code == truth.code, truth.file
            continue
        found = probe(path)
        shots = detect_shots(path, found)
        assert tuple(start for start, _ in shots.ranges[1:]) == truth.cuts, truth.file
        assert shots.frames_decoded == round(truth.duration_s * 25)
        with render_views(whole_clip(path), [AUDIO_16K]) as views:
            peak = float(np.abs(views[AUDIO_16K]).max())
        assert (peak == 0) == (truth.kind == "silent") and (peak > 0.8) == (truth.kind == "clipped"), truth.file
