"""Shots: known cuts are found to the frame, flashes are not cuts, and half a file is noticed."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from manifests.errors import MediaError
from media.probe import probe
from media.shots import detect_shots
from media.synth.picture import backdrop
from media.writer import write_mp4


@pytest.fixture(scope="module")
def three_shots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three swaying backdrops of 40, 50 and 30 frames."""
    path = tmp_path_factory.mktemp("shots") / "three.mp4"
    colours = [((200, 180, 150), (90, 120, 60)), ((30, 40, 80), (60, 30, 40)), ((150, 220, 170), (180, 90, 140))]
    scenes = [backdrop(i, *pair) for i, pair in enumerate(colours)]
    frames = [scene.at(i / 25) for scene, count in zip(scenes, (40, 50, 30)) for i in range(count)]
    write_mp4(path, np.stack(frames), 25, np.zeros(round(4.8 * 44_100), np.float32))
    return path


def test_known_cuts(three_shots: Path) -> None:
    shots = detect_shots(three_shots, probe(three_shots))
    assert shots.ranges == ((0, 40), (40, 90), (90, 120))
    assert shots.frames_decoded == 120


def test_less_than_promised_is_truncated(three_shots: Path) -> None:
    found = probe(three_shots)
    longer = replace(found, video=replace(found.video, frames=140))
    with pytest.raises(MediaError) as caught:
        detect_shots(three_shots, longer)
    assert caught.value.code == "media:truncated" and "140 frames but only 120" in caught.value.message


def test_real_media(media_dir: Path) -> None:
    path = media_dir / "video" / "chaplin.mp4"
    assert detect_shots(path, probe(path)).ranges == ((0, 241),)
