"""Shards that are not what their index says."""

import io
import subprocess
import sys
import tarfile

import pytest

from manifests.errors import ConfigError, KlearError, MediaError
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import shard, shard_work, tars, verify


def shard_paths(context):
    return sorted((context.out / "shards" / "g0001").glob("*.tar"))


def test_whole_shards_are_verified_to_the_last_frame(copy):
    found = verify.run(copy, "g0001", "all")
    assert found["damaged"] == []
    assert (found["shards"], found["samples"], found["decoded"]) == (2, 10, 10)
    with pytest.raises(ConfigError, match="no generation 'g0009'"):
        verify.run(copy, "g0009")


def test_a_flipped_byte_and_a_missing_tar(copy):
    flipped, missing = shard_paths(copy)
    data = bytearray(flipped.read_bytes())
    data[data.index(b"mdat") + 2000] ^= 0x40
    flipped.write_bytes(data)
    missing.unlink()
    one, two = verify.run(copy, decode="none")["damaged"]
    assert one["shard"] == flipped.name and one["problems"][0].startswith("its sha256 is ")
    assert any("its MP4 has another hash" in text for text in one["problems"])
    assert two["shard"] == missing.name and two["problems"][0] == "it is missing"


def test_a_truncated_tar_and_an_extra_member(copy):
    cut, more = shard_paths(copy)
    cut.write_bytes(cut.read_bytes()[:-9000])
    with tarfile.open(more, "a") as tar:
        info = tarfile.TarInfo("stranger.txt")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    (more.parent / "shard-00007.tar").write_bytes(b"")
    one, two, three = verify.run(copy)["damaged"]
    assert "no whole tar" in one["problems"][0] or "sha256" in one["problems"][0]
    assert any("members that no row names: stranger.txt" in text for text in two["problems"])
    assert three == {"shard": "shard-00007.tar", "problems": ["no shard of this generation has this name"]}


def test_what_is_forgotten_is_made_again(copy):
    before = {path.name: path.read_bytes() for path in shard_paths(copy)}
    shard_paths(copy)[1].write_bytes(b"damaged")
    assert len(verify.run(copy, decode="none", forget=True)["damaged"]) == 1
    assert [path.name for path in shard_paths(copy)] == ["shard-00000.tar"]
    made = shard.run(copy)
    assert (made["generation"], made["encoded"]) == ("g0001", 6)
    assert {path.name: path.read_bytes() for path in shard_paths(copy)} == before


def test_only_what_would_be_made_again_is_forgotten(copy, small_preset):
    shard_paths(copy)[1].write_bytes(b"damaged")
    other = Context(copy.out, load(str(small_preset), ["shard.val=0.9"]))
    with pytest.raises(ConfigError, match="another generation than g0001") as caught:
        verify.run(other, decode="none", forget=True)
    assert caught.value.code == "verify:forget" and len(shard_paths(copy)) == 2
    assert shard.run(other)["generation"] == "g0002"
    with pytest.raises(ConfigError, match="another generation than g0001"):
        verify.run(other, "g0001", "none", forget=True)
    with pytest.raises(ConfigError, match="another generation than g0002"):  # the newest, but not of these settings
        verify.run(copy, decode="none", forget=True)
    assert len(shard_paths(copy)) == 2
    assert len(verify.run(copy, "g0001", "none", forget=True)["damaged"]) == 1 and len(shard_paths(copy)) == 1


@pytest.mark.parametrize("fault", ["a source is gone", "other bytes"])
def test_a_lost_tar_is_made_as_it_was_or_not_at_all(copy, in_process, monkeypatch, fault):
    before = {path.name: path.read_bytes() for path in shard_paths(copy)}
    table = copy.catalog.require("samples", "shard")
    was = table.read().to_pylist()
    lost = next(row["clip_id"] for row in was if row["shard"] == "shard-00001.tar")
    real = shard_work.encode_bytes

    def changed(clip, recipe):
        if clip.clip_id != lost:
            return real(clip, recipe)
        if fault == "other bytes":
            return real(clip, recipe) + bytes(8)
        raise MediaError("media:missing", "no such file any more")

    for path in shard_paths(copy):
        path.unlink()
    with monkeypatch.context() as patch, pytest.raises(KlearError, match="shard-00001.tar: ") as caught:
        patch.setattr(shard_work, "encode_bytes", changed)
        shard.run(copy)
    assert caught.value.code == "shard:lost" and "shard-00000.tar" not in caught.value.message
    said = f"clip {lost.hex()}: media:missing: no such file" if fault == "a source is gone" else "its sha256 would be"
    assert said in caught.value.message
    assert {path.name: path.read_bytes() for path in shard_paths(copy)} == {
        "shard-00000.tar": before["shard-00000.tar"]
    }
    assert shard.run(copy)["encoded"] == 6  # when it is back
    assert {path.name: path.read_bytes() for path in shard_paths(copy)} == before
    assert table.read().to_pylist() == was


def test_members_that_say_something_else(copy):
    path, _ = shard_paths(copy)
    with tarfile.open(path) as tar:
        members = [(info.name, tar.extractfile(info).read()) for info in tar]
    (first, told), (second, mp4), *rest = members
    path.unlink()
    tars.write(path, [(first, told.replace(b'"frames":', b'"framez":')), (second, mp4[:-5000] + bytes(5000)), *rest])
    (found,) = verify.run(copy, decode="all")["damaged"]
    said = " ".join(found["problems"])
    assert "its JSON does not say what it must" in said or "not where the index says" in said
    assert first.partition(".")[0] in said


@pytest.mark.slow  # a session of its own
def test_the_command_names_what_is_wrong_and_fails(copy, small_preset):
    shard_paths(copy)[0].unlink()
    argv = [sys.executable, "-m", "pipeline.cli", "verify", "--out", copy.out, "--preset", small_preset, "--json"]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "shard-00000.tar: it is missing" in done.stderr
    assert '"damaged": [{"shard": "shard-00000.tar"' in done.stdout
