"""The sound of a whole source comes in blocks, on the clock of its frames, to the sample."""

from pathlib import Path

import numpy as np

from media.probe import probe
from media.sound import BLOCK_S, stream_sound
from media.writer import write_mp4


def write(path: Path, seconds: int, sound: np.ndarray | None) -> Path:
    write_mp4(path, np.zeros((seconds * 5, 32, 32, 3), np.uint8), 5, sound, 16_000, preset="ultrafast")
    return path


def test_blocks_are_the_track(tmp_path: Path) -> None:
    seconds = BLOCK_S + 4
    sound = (0.3 * np.random.default_rng(0).standard_normal((seconds * 16_000, 2))).clip(-1, 1).astype(np.float32)
    path = write(tmp_path / "long.mp4", seconds, sound)
    blocks = list(stream_sound(path, probe(path), seconds * 5, 16_000, timeout_s=60))
    assert [len(block) for block in blocks] == [BLOCK_S * 16_000, 4 * 16_000]
    assert np.abs(np.concatenate(blocks) - sound.mean(1)).max() < 1e-4


def test_a_short_track_ends_in_silence(tmp_path: Path) -> None:
    path = write(tmp_path / "short.mp4", 4, np.full(16_000, 0.5, np.float32))
    heard = np.concatenate(list(stream_sound(path, probe(path), 20, 16_000, timeout_s=60)))
    assert len(heard) == 64_000 and heard[:15_000].min() > 0.49 and not heard[17_000:].any()


def test_a_mute_source_gives_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "mute.mp4", 2, None)
    assert list(stream_sound(path, probe(path, need_audio=False), 10, 16_000, timeout_s=60)) == []
