"""Copies, delayed copies and real stereo."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from filters.audio import stereo
from media.render import render_views
from media.views import AUDIO_NATIVE
from media.whole import whole_clip

RATE = 44_100


def voice(media_dir: Path) -> np.ndarray:
    return soundfile.read(media_dir / "speech/jfk.flac", frames=4 * RATE)[0].mean(axis=1)


COPIES = {
    "the same": lambda x: (x, x),
    "quieter": lambda x: (x, 0.3 * x),
    "upside down": lambda x: (x, -x),
    "12 ms late": lambda x: (x[529:], x[:-529]),
    "35 ms early and quieter": lambda x: (x[:-1543], 0.4 * x[1543:]),
    "one empty": lambda x: (x, 0 * x),
    "one 60 dB below": lambda x: (x, 1e-4 * np.random.default_rng(0).standard_normal(len(x))),
}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_leaves_nothing(media_dir: Path, name: str) -> None:
    audio = np.stack(COPIES[name](voice(media_dir)), axis=1)
    assert stereo.residual(audio, RATE) < -60


def test_a_filtered_copy_is_still_a_copy(media_dir: Path) -> None:
    x = voice(media_dir)
    assert stereo.residual(np.stack([x[1:], 0.6 * x[1:] + 0.4 * x[:-1]], axis=1), RATE) < -30


@pytest.mark.parametrize("ratio_db", [-10, -20, -30, -40])
def test_noise_of_its_own_is_left_at_its_level(media_dir: Path, ratio_db: float) -> None:
    x = voice(media_dir)
    x = x / np.sqrt(np.mean(x**2))
    own = np.random.default_rng(0).standard_normal((len(x), 2)) * 10 ** (ratio_db / 20)
    found = stereo.residual(x[:, None] + own, RATE)
    assert found == pytest.approx(ratio_db, abs=3)


def test_two_noises_are_real_stereo() -> None:
    noise = np.random.default_rng(0).standard_normal((2 * RATE, 2))
    assert stereo.residual(noise, RATE) > -0.1 and stereo.side_to_mid(noise) == pytest.approx(0, abs=0.2)


def test_side_to_mid(media_dir: Path) -> None:
    x = voice(media_dir)
    assert stereo.side_to_mid(np.stack([x, x], 1)) == -120 and stereo.side_to_mid(np.stack([x, -x], 1)) == 120
    assert stereo.side_to_mid(np.stack([x, 0.5 * x], 1)) == pytest.approx(20 * np.log10(1 / 3), abs=0.01)


def test_mono_silent_and_short() -> None:
    for audio in (np.ones((100, 1)), np.zeros((100, 2))):
        assert stereo.residual(audio, RATE) is None and stereo.side_to_mid(audio) is None
    assert stereo.residual(np.ones((5, 2)), RATE) == -120


@pytest.mark.parametrize(
    ("name", "fake"),
    [("grid/bbaf2n.mpg", True), ("video/chaplin.mp4", False), ("video/big_buck_bunny_0_30.webm", False)],
)
def test_films(media_dir: Path, name: str, fake: bool) -> None:
    with render_views(whole_clip(media_dir / name), [AUDIO_NATIVE]) as views:
        assert (stereo.residual(views[AUDIO_NATIVE], views.rates[AUDIO_NATIVE]) <= stereo.FAKE_DB) == fake
