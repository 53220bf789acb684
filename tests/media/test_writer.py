"""Writing arrays: playable, exact in length, the same bytes every time."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from manifests.errors import MediaError
from media.probe import probe
from media.writer import write_mp4, write_wav


def test_mp4_round_trip(tmp_path: Path) -> None:
    ramp = np.linspace(20, 230, 30 * 80 * 128).reshape(30, 80, 128, 1)
    frames = np.concatenate([ramp, ramp[:, ::-1], 250 - ramp], -1).astype(np.uint8)
    sound = (0.5 * np.sin(np.arange(55_125) * 0.05)).astype(np.float32)
    for name in ("a.mp4", "b.mp4"):
        write_mp4(tmp_path / name, frames, 24, sound, 44_100, crf=5)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    found = probe(tmp_path / "a.mp4")
    assert (found.video.frames, found.video.fps, found.video.width, found.video.height) == (30, 24, 128, 80)
    with av.open(str(tmp_path / "a.mp4")) as file:
        shown = np.stack([frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)])
    assert np.abs(shown.astype(int) - frames).mean() < 4
    with av.open(str(tmp_path / "a.mp4")) as file:
        heard = np.concatenate([frame.to_ndarray().ravel() for frame in file.decode(audio=0)]) / 32768
    assert heard.shape == sound.shape and np.abs(heard - sound).max() < 1e-4


def test_silent_film_and_odd_size(tmp_path: Path) -> None:
    write_mp4(tmp_path / "mute.mp4", np.zeros((3, 41, 33, 3), np.uint8), 25)
    found = probe(tmp_path / "mute.mp4", need_audio=False)
    assert found.audio is None and (found.video.frames, found.video.width, found.video.height) == (3, 34, 42)


def test_wav(tmp_path: Path) -> None:
    sound = np.random.default_rng(0).uniform(-1.2, 1.2, (1001, 2)).astype(np.float32)
    write_wav(tmp_path / "out.wav", sound, 16_000)
    heard, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 16_000 and heard.shape == (1001, 2)
    assert np.abs(heard - np.clip(sound, -1, 1)).max() < 1e-4


def test_wrong_arrays_are_refused(tmp_path: Path) -> None:
    for frames in (np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4, 3), np.float32), np.zeros((0, 4, 4, 3), np.uint8)):
        with pytest.raises(MediaError, match="frames must be uint8"):
            write_mp4(tmp_path / "x.mp4", frames, 25)
    with pytest.raises(MediaError, match="finite"):
        write_wav(tmp_path / "x.wav", np.array([0.0, np.nan], np.float32), 16_000)
