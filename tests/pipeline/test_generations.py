"""Generations: what an earlier one has encoded is copied, and nobody can tell from the bytes."""

import shutil

import pytest

from manifests.errors import ConfigError
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import balance, generation, shard


def again(context, preset, *sets):
    return shard.run(Context(context.out, load(str(preset), list(sets))))


def digests(result):
    return [row["sha256"] for row in result["shards"]]


def test_members_are_copied_and_equal_to_fresh_ones(released, copy, small_preset):
    context, one = copy, released[1]
    assert (one["copied"], one["encoded"]) == (0, 10)
    two = again(context, small_preset, "shard.val=0.9", "shard.shards=3")
    assert (two["generation"], two["copied"], two["encoded"]) == ("g0002", 10, 0)
    assert digests(two) != digests(one)  # what is said of the clips is written anew
    other = again(context, small_preset, "shard.crf=30")
    assert (other["copied"], other["encoded"]) == (0, 10)

    shards = context.out / "shards"
    names = {"release", "samples", "shards"}
    for name in names:
        shutil.rmtree(context.catalog.require(name, "").folder.parent)
    for tar in shards.glob("g0001/*.tar"):
        tar.write_bytes(tar.read_bytes()[:3000])  # what cannot be copied is encoded
    shutil.rmtree(shards / "g0002")
    fresh = again(context, small_preset, "shard.val=0.9", "shard.shards=3")
    assert (fresh["copied"], fresh["encoded"]) == (0, 10)
    assert digests(fresh) == digests(two)


def test_a_changed_member_is_not_copied(copy, small_preset):
    for tar in (copy.out / "shards").glob("*/*.tar"):
        data = bytearray(tar.read_bytes())
        data[data.index(b"mdat") + 100] ^= 1
        tar.write_bytes(data)
    result = again(copy, small_preset, "shard.val=0.7")
    assert result["encoded"] + result["copied"] == 10 and result["encoded"] == 2


@pytest.mark.parametrize(
    ("sizes", "counts", "said"),
    [
        ([1e6] * 8, [3] * 8, None),  # a small set is small
        ([1e9] * 8, [100] * 8, None),
        ([5e9] * 4, [100] * 4, "set shard.shards = 20"),
        ([1e8] * 100, [100] * 100, "set shard.shards = 10"),
        ([0.6e9] * 7 + [1.9e9], [100] * 8, "3.2 times the bytes"),
        ([0.0], [0], None),
        ([], [], None),
    ],
)
def test_advice_on_sizes(sizes, counts, said):
    found = balance.of(counts, [int(size) for size in sizes])["advice"]
    assert said in found if said else found is None


def test_the_outcome_shows_the_spread(released):
    _, one = released
    spread = one["balance"]
    assert sum(row["count"] for row in one["shards"]) == 10
    assert spread["samples"]["min"] == min(row["count"] for row in one["shards"])
    assert 0 < spread["bytes"]["min"] <= spread["bytes"]["median"] <= spread["bytes"]["max"] <= one["bytes"]


def test_a_folder_whose_run_died_before_its_note_is_begun_again(tmp_path):
    (tmp_path / "g0001").mkdir()
    assert generation.listed(tmp_path) == []
    assert generation.find_or_start(tmp_path, "r", 2).name == "g0001"
    assert [known.recipe for known in generation.listed(tmp_path)] == ["r"]


def test_only_generations_are_listed(tmp_path):
    first = generation.find_or_start(tmp_path, "r", 2)
    for name in ("g0001-backup", "g1", "old"):
        shutil.copytree(tmp_path / "g0001", tmp_path / name)
    assert generation.listed(tmp_path) == [first]
    assert generation.find_or_start(tmp_path, "s", 2).name == "g0002"


def test_generations_are_ordered_by_number(tmp_path):
    generation.find_or_start(tmp_path, "r", 2)
    (tmp_path / "g0001").rename(tmp_path / "g9999")
    names = [generation.find_or_start(tmp_path, recipe, 2).name for recipe in ("s", "t", "s")]
    assert names == ["g10000", "g10001", "g10000"]
    assert [known.name for known in generation.listed(tmp_path)] == ["g9999", "g10000", "g10001"]
    assert generation.latest(tmp_path).name == "g10001"


@pytest.mark.parametrize(
    "note", ["", '{"recipe": "r", "sha', "[]", '{"recipe": "r"}', '{"recipe": "r", "shards": "2"}']
)
def test_a_note_that_cannot_be_read_is_named(tmp_path, note):
    generation.find_or_start(tmp_path, "r", 2)
    (tmp_path / "g0001" / generation.NOTE).write_text(note)
    for ask in (generation.latest, lambda folder: generation.find_or_start(folder, "s", 2)):
        with pytest.raises(ConfigError, match=r"g0001/generation.json is not the note .* run `klear shard`") as caught:
            ask(tmp_path)
        assert caught.value.code == "shard:generation"
