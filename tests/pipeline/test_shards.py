import hashlib
import json
import shutil

import webdataset

from pipeline.jobs import generation, sample, tars


def test_tars_are_functions_of_their_members(tmp_path):
    (tmp_path / "video").write_bytes(b"v" * 700)
    members = [("aa.json", b"{}"), ("aa.mp4", tmp_path / "video"), ("bb.json", b"[]"), ("bb.mp4", b"w")]
    assert tars.write(tmp_path / "one.tar", members) and tars.write(tmp_path / "two.tar", members)
    assert not tars.write(tmp_path / "one.tar", [])
    assert tars.read_back(tmp_path / "one.tar") == tars.read_back(tmp_path / "two.tar")


def test_places_cut_out_whole_samples(tmp_path):
    path = tmp_path / "shard.tar"
    tars.write(path, [("aa.json", b"{}"), ("aa.mp4", b"v" * 700), ("bb.json", b"[]"), ("bb.mp4", b"w")])
    packed = tars.read_back(path)
    places = packed.places
    assert packed.bytes == path.stat().st_size and packed.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    place = places["bb"]
    cut = tmp_path / "cut.tar"
    cut.write_bytes(path.read_bytes()[place.offset : place.offset + place.size] + bytes(1024))
    (found,) = webdataset.WebDataset(str(cut), shardshuffle=False, empty_check=False)
    assert (found["__key__"], found["json"], found["mp4"]) == ("bb", b"[]", b"w")
    assert places["aa"].offset == 0


def test_json_is_canonical():
    value = {"b": 0.1 + 0.2, "a": [float("nan"), 1, None], "c": {"y": (1.23456789,), "x": "é"}}
    assert sample.dump(value) == '{"a":[null,1,null],"b":0.3,"c":{"x":"é","y":[1.234568]}}'.encode()
    assert json.loads(sample.dump(value))["c"]["x"] == "é"


def test_splits_are_by_source_and_near_their_share():
    splits = [sample.split_of(n.to_bytes(16, "big"), 0.2, 0.1) for n in range(4000)]
    assert abs(splits.count("val") / 4000 - 0.2) < 0.03 and abs(splits.count("test") / 4000 - 0.1) < 0.03


def test_a_generation_is_its_content(tmp_path):
    first = generation.find_or_start(tmp_path, "recipe-a", 4)
    again = generation.find_or_start(tmp_path, "recipe-a", 4)
    second = generation.find_or_start(tmp_path, "recipe-b", 8)
    assert first == again and (first.name, second.name) == ("g0001", "g0002")
    assert generation.latest(tmp_path) == second
    shutil.rmtree(tmp_path / "g0001")
    assert generation.find_or_start(tmp_path, "recipe-c", 4).name == "g0003"
    assert first.shard_names()[:2] == ["shard-00000.tar", "shard-00001.tar"]
