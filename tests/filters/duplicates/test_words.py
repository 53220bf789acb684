"""Words of picture and sound: the same where the footage is, through what re-uploading does to it; else not."""

import cv2
import numpy as np
import pytest

from filters.duplicates.distance import distances
from filters.duplicates.fingerprint import STAGE
from filters.duplicates.picture_words import picture_words, without_bars
from filters.duplicates.sketch import picture_sketch, smallest, sound_sketch
from filters.duplicates.sound_words import RATE, sound_words
from media.synth.music import MAJOR, MINOR, music_scene
from media.synth.picture import backdrop
from media.synth.scenes import bounce
from media.views import AUDIO_16K, LUMA_25, Views


def grey(frames: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), (256, 160)) for f in frames])


@pytest.fixture(scope="module")
def film() -> np.ndarray:
    """4 s of a bouncing ball, grey, (100, 160, 256)."""
    scene = bounce(backdrop(1, (120, 160, 205), (150, 120, 90)), 5, 4.0, 25, (205, 45, 40), 320.0, (1.0, 2.0))
    return grey(scene.frames)


@pytest.fixture(scope="module")
def tune() -> np.ndarray:
    return melody(MAJOR)


def melody(scale: tuple[int, ...], root: float = 131.0, beat: float = 0.42) -> np.ndarray:
    """4 s of music at 16 kHz."""
    scene = music_scene(backdrop(2, (40, 45, 70), (70, 50, 80)), 60, 4.0, 25, (90, 200, 240), root, scale, beat)
    import soxr

    return soxr.resample(scene.sound, 44_100, RATE).astype(np.float32)


def apart(a: np.ndarray, b: np.ndarray, overlap: float = 0.6) -> float:
    return float(distances(a[None], b[None], overlap)[0])


def test_shapes(film: np.ndarray, tune: np.ndarray) -> None:
    seen, heard = picture_words(film, 25), sound_words(tune)
    assert seen.dtype == np.uint64 and len(seen) == 1 + (100 - 15) // 5
    assert heard.dtype == np.uint32 and len(heard) == 1 + (64_000 - 8192) // 1024 - 4
    assert len(picture_words(film[:3], 25)) == 1 and len(sound_words(tune[:9000])) == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda f: np.clip(f * 1.15 + 12, 0, 255).astype(np.uint8),
        lambda f: np.stack([cv2.resize(x, (128, 80)) for x in f]),
        lambda f: np.pad(f, ((0, 0), (24, 24), (0, 0)), constant_values=16),
        lambda f: f[:, 4:-4, 6:-6],
        lambda f: np.clip(f + np.random.default_rng(0).normal(0, 8, f.shape), 0, 255).astype(np.uint8),
        lambda f: f[8:],
    ],
    ids=["brighter", "half the size", "letterbox", "cropped", "noisy", "starts 0.32 s later"],
)
def test_the_same_picture_has_the_same_words(film: np.ndarray, change) -> None:
    assert apart(picture_words(film, 25), picture_words(change(film), 25)) < 0.2


def test_another_picture_has_other_words(film: np.ndarray) -> None:
    other = bounce(backdrop(9, (60, 90, 110), (55, 75, 60)), 6, 4.0, 25, (235, 200, 50), 780.0, (1.0,))
    words = picture_words(film, 25)
    assert apart(words, picture_words(grey(other.frames), 25)) > 0.3
    assert apart(words, picture_words(film[:, :, ::-1], 25)) > 0.3  # mirrored


@pytest.mark.parametrize(
    "change",
    [
        lambda s: 0.2 * s,
        lambda s: s[4800:],
        lambda s: (s + np.random.default_rng(0).normal(0, 0.05 * s.std(), len(s))).astype(np.float32),
        lambda s: np.convolve(s, [0.3, 0.5, 0.2], "same").astype(np.float32),
    ],
    ids=["14 dB lower", "starts 0.3 s later", "26 dB of noise", "duller"],
)
def test_the_same_sound_has_the_same_words(tune: np.ndarray, change) -> None:
    assert apart(sound_words(tune), sound_words(change(tune))) < 0.2


def test_another_sound_has_other_words(tune: np.ndarray) -> None:
    assert apart(sound_words(tune), sound_words(melody(MINOR, 110.0, 0.52))) > 0.3


def test_black_and_silence_compare_with_nothing() -> None:
    black, silence = np.full((100, 144, 256), 16, np.uint8), np.full(4 * RATE, 1e-4, np.float32)
    silence[::2] *= -1
    assert not picture_words(black, 25).any() and not sound_words(silence).any()
    assert len(picture_sketch(picture_words(black, 25), 0)) == len(sound_sketch(sound_words(silence))) == 0
    assert np.isnan(apart(picture_words(black, 25), picture_words(black, 25)))


def test_a_dark_scene_is_not_cropped_away() -> None:
    dark = np.full((10, 144, 256), 20, np.uint8)
    dark[:, 60:70, 100:120] = 90
    assert without_bars(dark) is dark


def test_distance_finds_the_shift() -> None:
    words = np.random.default_rng(0).integers(1, 2**63, 40, dtype=np.uint64)
    assert apart(words[:30], words[8:38]) == 0.0
    assert apart(words[:30], words[8:38], overlap=0.8) > 0.4  # 22 of 30 are common: too few for 0.8
    gappy = words.copy()
    gappy[5:9] = 0
    assert apart(words, gappy) == 0.0


def test_pairs_are_compared_each_by_itself() -> None:
    words = np.random.default_rng(1).integers(1, 2**32, (3, 50), dtype=np.uint32)
    a, b = words.copy(), np.roll(words, -7, axis=1)
    b[:, -7:] = 0
    a[2, 20:] = 0  # shorter
    found = distances(a, b, 0.6)
    assert found[0] == found[1] == 0.0 and np.isnan(found[2])
    assert np.array_equal(distances(a[:1], b[:1], 0.6), found[:1])


def test_copies_share_sketches(film: np.ndarray, tune: np.ndarray) -> None:
    seen, late = picture_words(film, 25), picture_words(film[8:], 25)
    assert set(picture_sketch(seen, 0).tolist()) & set(picture_sketch(late, 0).tolist())
    heard, quiet = sound_words(tune), sound_words(0.3 * tune)
    assert len(set(sound_sketch(heard).tolist()) & set(sound_sketch(quiet).tolist())) >= 8


def test_a_sketch_of_a_part_is_a_part_of_the_sketch() -> None:
    keys = np.random.default_rng(2).choice(2**24, 200, replace=False).astype(np.uint64)
    chosen = set(keys[smallest(keys, 16)].tolist())
    half = keys[:100]
    assert chosen & set(half.tolist()) <= set(half[smallest(half, 16)].tolist())


def test_the_stage_writes_what_it_declares(film: np.ndarray, tune: np.ndarray) -> None:
    views = Views({LUMA_25: film, AUDIO_16K: tune})
    row = STAGE()(None, views, {})
    assert set(row) == set(STAGE.COLUMNS) and row == STAGE()(None, views, {})
    assert np.array_equal(np.frombuffer(row["picture"], "<u8"), picture_words(film, 25))
    assert len(row["sound"]) == 4 * len(sound_words(tune)) and 0 < len(row["picture_0"]) <= 8


GOLDEN = {
    "version": 1,
    "picture": [16806828071929906095, 16806828070864552877, 16806687329081234089, 16806679117103764393],
    "sound": [2598737920, 2733071359, 2711837695, 2712099839, 2777964544, 2794741760, 1725177856, 1717346304],
}
"""The first words of the film and of the tune. When they change on purpose, bump the stage's VERSION and write anew."""


def test_words_stay_what_they_were(film: np.ndarray, tune: np.ndarray) -> None:
    """With room for another processor's rounding: a sign near zero may turn."""
    assert GOLDEN["version"] == STAGE.VERSION, "a VERSION changed: write the golden words anew"
    seen, heard = np.array(GOLDEN["picture"], np.uint64), np.array(GOLDEN["sound"], np.uint32)
    assert np.bitwise_count(seen ^ picture_words(film, 25)[:4]).sum() <= 4
    assert np.bitwise_count(heard ^ sound_words(tune)[:8]).sum() <= 4
