"""The near-duplicate search on made-up fingerprints: copies meet, strangers do not, crowds cost no more than others."""

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from filters.duplicates.sketch import picture_sketch, sound_sketch
from manifests.schema import ID, NEAR
from pipeline.jobs import candidates, nearness
from pipeline.jobs.elect import greedy

WORDS, SOUNDS = 48, 150


def fingerprints(picture: np.ndarray, sound: np.ndarray) -> pa.Table:
    """A table as the stage writes it, of words (n, 48) uint64 and (n, 150) uint32."""
    return pa.table(
        {
            "clip_id": pa.array([i.to_bytes(16, "big") for i in range(len(picture))], ID),
            "source_id": pa.array([(1000 + i).to_bytes(16, "big") for i in range(len(picture))], ID),
            "picture": [row.astype("<u8").tobytes() for row in picture],
            "sound": [row.astype("<u4").tobytes() for row in sound],
            "picture_0": pa.array([picture_sketch(row, 0) for row in picture], pa.list_(pa.uint64())),
            "picture_1": pa.array([picture_sketch(row, 20) for row in picture], pa.list_(pa.uint64())),
            "sound_0": pa.array([sound_sketch(row) for row in sound], pa.list_(pa.uint32())),
        }
    )


def made(clips: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    picture = rng.integers(1, 2**64, (clips, WORDS), dtype=np.uint64)
    return picture, rng.integers(1, 2**32, (clips, SOUNDS), dtype=np.uint32)


def flipped(words: np.ndarray, share: float, seed: int) -> np.ndarray:
    """The words with a share of their bits wrong."""
    rng, bits = np.random.default_rng(seed), 8 * words.dtype.itemsize
    wrong = np.zeros(words.shape, words.dtype)
    for bit in range(bits):
        wrong |= (rng.random(words.shape) < share).astype(words.dtype) << words.dtype.type(bit)
    return words ^ wrong


def search(table: pa.Table, neighbours: int = 8) -> tuple[pa.Table, list[dict]]:
    con = duckdb.connect()
    con.register("prints", table)
    counts = candidates.find(con, "prints", neighbours)
    found = list(nearness.near_pairs(con, "prints", 0.6))
    return pa.concat_tables([NEAR.empty_table(), *found]).sort_by("pair"), counts


def pairs(table: pa.Table) -> list[tuple[int, int]]:
    return [(int.from_bytes(row["a"], "big"), int.from_bytes(row["b"], "big")) for row in table.to_pylist()]


def test_noisy_copies_are_found_and_strangers_are_not() -> None:
    picture, sound = made(400)
    picture[200:300], sound[200:300] = flipped(picture[:100], 0.02, 1), flipped(sound[:100], 0.05, 2)
    found, _ = search(fingerprints(picture, sound))
    assert set(pairs(found)) <= {(i, i + 200) for i in range(100)} and len(found) >= 98
    assert 0.01 < found["picture"].to_numpy().mean() < 0.03 and 0.04 < found["sound"].to_numpy().mean() < 0.06


def test_shifted_copies_are_found() -> None:
    picture, sound = made(60)
    picture[30:], sound[30:] = np.roll(picture[:30], -6, axis=1), np.roll(sound[:30], -19, axis=1)
    picture[30:, -6:], sound[30:, -19:] = made(30, 5)[0][:, :6], made(30, 6)[1][:, :19]
    found, _ = search(fingerprints(picture, sound))
    assert pairs(found) == [(i, i + 30) for i in range(30)] and set(found["picture"].to_pylist()) == {0.0}


def test_the_same_picture_with_another_sound_is_told_apart_by_the_distances() -> None:
    picture, sound = made(2)
    picture[1] = picture[0]
    [row] = search(fingerprints(picture, sound))[0].to_pylist()
    assert row["picture"] == 0.0 and row["sound"] > 0.4


def test_nothing_compares_with_what_has_no_words() -> None:
    picture, sound = made(4)
    picture[:2], sound[:2] = 0, 0
    sound[2:] = sound[2]  # the same sound under different pictures
    [row] = search(fingerprints(picture, sound))[0].to_pylist()
    assert (row["a"][-1], row["b"][-1], row["sound"]) == (2, 3, 0.0)


@pytest.mark.parametrize("crowd", [300, 3000])
def test_a_crowded_key_costs_a_word_no_more_than_a_lonely_one(crowd: int) -> None:
    """A logo: everyone's first 24 bits agree, the rest is chance; copies among them are still found."""
    picture, sound = made(crowd)
    picture[:] = np.uint64(0xABCDEF << 40) | (picture[:, :1] >> np.uint64(24))
    sound[:] = 0
    picture[crowd // 2 + 5] = picture[5]
    found, counts = search(fingerprints(picture, sound))
    assert (5, crowd // 2 + 5) in pairs(found)
    assert counts[0]["largest"] == crowd and counts[0]["crowded"] == 1.0 and counts[0]["candidates"] <= 8 * crowd


def test_the_search_is_the_same_every_time() -> None:
    picture, sound = made(300)
    picture[100:200] = flipped(picture[:100], 0.03, 3)
    table = fingerprints(picture, sound)
    assert search(table)[0].equals(search(table.take(np.random.default_rng(0).permutation(300)))[0])


def test_no_fingerprints_no_pairs() -> None:
    picture, sound = made(0)
    found, counts = search(fingerprints(picture, sound))
    assert len(found) == 0 and [row["words"] for row in counts] == [0, 0, 0]


def test_a_chain_is_not_given_up_whole() -> None:
    """0-1, 1-2, 2-3 overlap by pairs: 1 goes because of 0; 2 stays, for what it shares with 1 is not in 0."""
    assert greedy(np.array([0, 1, 2]), np.array([1, 2, 3]), 4).tolist() == [0, 0, 2, 2]
    assert greedy(np.array([0, 0, 1]), np.array([1, 2, 2]), 3).tolist() == [0, 0, 0]
    assert greedy(np.array([], int), np.array([], int), 2).tolist() == [0, 1]
