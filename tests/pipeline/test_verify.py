"""Shards that are not what their index says."""

import io
import subprocess
import sys
import tarfile
import time

import numpy as np
import pyarrow as pa
import pytest

from manifests.errors import ConfigError, KlearError, MediaError
from pipeline.config import load
from pipeline.context import Context
from pipeline.engine.plan import Part
from pipeline.jobs import shard, shard_work, tars, verify
from pipeline.jobs.verify_work import VERIFIED, VerifyWorker


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
def test_a_lost_tar_is_made_as_it_was_or_not_at_all(copy, one_by_one, monkeypatch, fault):
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


def mutated(data, spans, rng):
    """One mutation of a tar. spans: (header, data, end) of its members, in bytes."""
    out = bytearray(data)
    header, start, end = spans[rng.integers(len(spans))]
    kind = rng.choice(["flips", "cut", "field", "json", "noise", "drop"])
    if kind == "flips":
        for place in rng.integers(0, len(out), 2 ** rng.integers(0, 8)):
            out[place] ^= 1 << int(rng.integers(8))
    elif kind == "cut":
        del out[int(rng.integers(len(out))) :]
    elif kind == "drop":
        at = int(rng.integers(len(out)))
        del out[at : at + int(rng.integers(1, 2000))]
    elif kind == "noise":
        out[header : header + 512] = rng.bytes(512)
    elif kind == "field":  # and a checksum that is right for it
        at, long = FIELDS[rng.integers(len(FIELDS))]
        hostile = [rng.bytes(long), b"\xff" * long, b"\x80" + b"\xff" * long, b"7" * long, b"-0000000001", b"xLSKgV"]
        new = hostile[rng.integers(len(hostile))][:long]
        out[header + at : header + at + len(new)] = new
        block = out[header : header + 512]
        out[header + 148 : header + 156] = b"%06o\0 " % (sum(block) - sum(block[148:156]) + 256)
    else:
        text = JSONS[rng.integers(len(JSONS))]
        new = (text * (end - start))[: end - start] if len(text) == 1 else text.ljust(end - start)
        out[start:end] = new[: end - start]
    return bytes(out)


FIELDS = [(0, 100), (124, 12), (124, 12), (156, 1), (156, 1), (257, 8), (345, 155)]
"""Of a header: name, size, type, magic, prefix."""
JSONS = [
    b"[",
    b"9",
    b"\xff",
    b'{"frames": 1' + b"0" * 9,
    b'"\\ud83d"',
    b'{"clip_id": "\\ud83d", "frames": 1, "split": 0}',
]


def test_every_mutation_of_a_tar_is_damage(copy):
    path, _ = shard_paths(copy)
    table = copy.catalog.require("samples", "shard")
    worker = VerifyWorker(copy.catalog, table, copy.catalog.require("shards", "shard"), path.parent, "g0001", 0.0)
    part = Part(path.stem, 0, 0)
    keys, good, rng = worker.keys(part), path.read_bytes(), np.random.default_rng(1)
    with tarfile.open(path) as tar:
        spans = [(info.offset, info.offset_data, info.offset_data + info.size) for info in tar]
    spans += spans[::2] * 2  # more of the small ones, which are JSON
    began = time.monotonic()
    for number in range(300):
        bad = mutated(good, spans, rng)
        path.write_bytes(bad)
        done = dict(zip(keys, worker.each(part, keys), strict=True))
        found = pa.Table.from_pylist(worker.finish(part, done)["verified"], schema=VERIFIED).to_pylist()[0]
        assert found["status"] == ("ok" if bad == good else "damaged"), number
        for key in keys:  # nor does it stop who copies from it
            tars.member(bad[: len(bad) // 2], f"{key.hex()}.mp4")
    assert time.monotonic() - began < 60


def test_a_tar_of_no_end_of_nesting_and_sizes_is_read_at_once(tmp_path):
    for kind, size in ((b"x", b"00000001000"), (b"L", b"00000001000"), (b"S", b"77777777777"), (b"0", b"77777777777")):
        info = tarfile.TarInfo("a.json")
        header = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
        header[156:157], header[124:135] = kind, size
        header[148:156] = b"%06o\0 " % (sum(header) - sum(header[148:156]) + 256)
        (tmp_path / "bad.tar").write_bytes(bytes(header) * 5000)
        with pytest.raises(tars.Damaged, match="bad.tar"):
            tars.read_back(tmp_path / "bad.tar")
        with pytest.raises(tars.Damaged):
            tars.rewrite(tmp_path / "bad.tar", lambda name: True)


@pytest.mark.slow  # a session of its own
def test_the_command_names_what_is_wrong_and_fails(copy, small_preset):
    shard_paths(copy)[0].unlink()
    argv = [sys.executable, "-m", "pipeline.cli", "verify", "--out", copy.out, "--preset", small_preset, "--json"]
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "shard-00000.tar: it is missing" in done.stderr
    assert '"damaged": [{"shard": "shard-00000.tar"' in done.stdout
