"""Reading latents: from a disk and a bucket, ahead and at once; damaged samples named, with shard, offset and cause."""

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load as peer_load
from safetensors.torch import save

from manifests import files
from manifests.errors import ConfigError, KlearError, MediaError
from trainer.checkpoint import latest, read_progress
from trainer.data.latents import INDEX, LatentSet, find_latents, open_set
from trainer.data.read_ahead import ReadAhead
from trainer.data.sample import Sample
from trainer.data.shards import samples as members_of
from trainer.evaluate import evaluate
from trainer.export.export import export
from trainer.generate import generate
from trainer.loop import train
from trainer.settings import TrainSettings


def _tensors(sample: Sample) -> dict[str, torch.Tensor]:
    return {name: value for name, value in vars(sample).items() if isinstance(value, torch.Tensor)}


def test_samples_are_those_of_the_tar_normalised(out: Path) -> None:
    latents = LatentSet(find_latents(out))
    for key, members in members_of(latents.folder / "shard-00000.tar").items():
        raw, sample = peer_load(members["latents.safetensors"].read()), latents.load(key)
        for name, tensor in latents.load_raw(key).items():
            assert torch.equal(tensor, raw[name]) and tensor.dtype == raw[name].dtype
        torch.testing.assert_close(latents.video_stats.denormalise(sample.video), raw["video"], rtol=1e-4, atol=1e-4)
        assert sample.video.is_contiguous() and latents.load(key) is sample
        assert latents.texts(key)["video"] == f"clip {int(key, 16)}"


def test_read_ahead_changes_nothing_and_asks_for_unannounced_keys_too(out: Path) -> None:
    plain, ahead = (LatentSet(find_latents(out), cache_bytes=0, threads=3, ahead=4) for _ in range(2))
    keys = plain.keys() * 2
    ahead.prefetch(keys[:9])
    ahead.prefetch(keys[9:])
    for key in [*keys, keys[3]]:
        left, right = plain.load(key), ahead.load(key)
        assert all(torch.equal(value, getattr(right, name)) for name, value in _tensors(left).items())


def test_read_ahead_is_bounded_and_forgets() -> None:
    lock, open_, most, done = threading.Lock(), 0, 0, []
    gate = threading.Event()

    def fetch(key: str) -> str:
        nonlocal open_, most
        with lock:
            open_ += 1
            most = max(most, open_)
        gate.wait(5)
        with lock:
            open_ -= 1
            done.append(key)
        return key.upper()

    ahead = ReadAhead(fetch, threads=2, most=5)
    ahead.announce("abcdefgh")
    gate.set()
    assert ahead.take("a") == "A" and ahead.take("h") == "H" and ahead.take("b") == "B"
    ahead.forget()
    assert ahead.take("c") == "C" and most <= 3  # two threads, and the one that asks
    assert len(done) <= 3 + 5 + 1


def test_keys_that_repeat_in_a_window_leave_no_place_taken(out: Path) -> None:
    """Each is announced several times before its first load puts it into the cache."""
    latents = LatentSet(find_latents(out), threads=2, ahead=4)
    known = latents.keys()
    window = known[:8] * 5
    latents.prefetch(window)
    for key in window:
        latents.load(key)
    read: set[str] = set()
    fetch = latents._ahead._fetch
    latents._ahead._fetch = lambda key: (read.add(key), fetch(key))[1]
    latents.prefetch(known[8:])
    deadline = time.monotonic() + 20
    while read != set(known[8:]) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert read == set(known[8:]), "read ahead, though nobody has asked for them yet"


def test_an_error_ahead_is_raised_where_the_sample_is_asked_for(out: Path) -> None:
    latents = LatentSet(find_latents(out), cache_bytes=0)
    keys = latents.keys()
    latents.prefetch([keys[0], "f" * 32, keys[1]])
    assert latents.load(keys[0]).key == keys[0]
    with pytest.raises(MediaError, match="no sample"):
        latents.load("f" * 32)
    assert latents.load(keys[1]).key == keys[1]


def _cut(tar: bytearray, offset: int, size: int) -> bytearray:
    return tar[: offset + size // 2]


def _flip(tar: bytearray, offset: int, size: int) -> bytearray:
    tar[offset + 12] ^= 0x80
    return tar


def _long_header(tar: bytearray, offset: int, size: int) -> bytearray:
    tar[offset + 6] = 0xFF
    return tar


def _another(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[bytearray, int, int], bytearray]:
    """Another file of the same length in its place: padded header, changed tensors."""

    def put(tar: bytearray, offset: int, size: int) -> bytearray:
        raw = peer_load(bytes(tar[offset : offset + size]))
        change(raw)
        data = save(raw)
        assert len(data) <= size
        tar[offset : offset + size] = data + bytes(size - len(data))
        return tar

    return put


def _short_audio(raw: dict[str, torch.Tensor]) -> None:
    raw["audio"] = raw["audio"][:-1].contiguous()


def _narrow_video(raw: dict[str, torch.Tensor]) -> None:
    raw["video"] = raw["video"][..., :-1].contiguous()


def _narrow_captions(raw: dict[str, torch.Tensor]) -> None:
    raw["audio_text"] = raw["audio_text"][:, :-1].contiguous()


def _not_finite(raw: dict[str, torch.Tensor]) -> None:
    raw["video"].view(-1)[5] = float("nan")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (_cut, "latents:short"),
        (_flip, "latents:header"),
        (_long_header, "latents:header"),
        (_another(_short_audio), "latents:shape"),
        (_another(_narrow_video), "latents:shape"),
        (_another(_narrow_captions), "latents:shape"),
        (_another(lambda raw: raw.pop("speech")), "latents:shape"),
        (_another(_not_finite), "latents:finite"),
    ],
)
def test_a_damaged_sample_is_named_and_the_others_load(
    out: Path, damage: Callable[[bytearray, int, int], bytearray], code: str
) -> None:
    folder = find_latents(out)
    last = LatentSet(folder)
    key = last.keys()[-1]
    place = last.index.place(last.index.row(key) or 0)
    path = folder / place.shard
    path.write_bytes(damage(bytearray(path.read_bytes()), place.offset, place.size))
    latents = LatentSet(folder, finite=True)
    with pytest.raises(MediaError) as caught:
        latents.load(key)
    assert caught.value.code == code
    assert all(str(word) in caught.value.message for word in (key, place.shard, place.offset))
    assert latents.load(latents.keys()[0]).key == latents.keys()[0]


def test_a_shard_that_is_gone_is_named(out: Path) -> None:
    latents = LatentSet(find_latents(out))
    (latents.folder / "shard-00000.tar").unlink()
    with pytest.raises(MediaError, match="shard-00000.tar.*no such shard") as caught:
        latents.load(latents.keys()[0])
    assert caught.value.code == "latents:absent"


@pytest.mark.parametrize(
    "header",
    [b"[]", b"{", b'{"a": 3}', b'{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}'],
)
def test_what_is_not_safetensors_is_refused(header: bytes) -> None:
    import numpy as np

    from trainer.data.tensors import parse

    data = len(header).to_bytes(8, "little") + header + bytes(4)
    with pytest.raises(MediaError, match="not a safetensors file"):
        parse(np.frombuffer(bytearray(data), np.uint8))


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """moto's server with an empty bucket `latents`: the endpoint."""
    import fsspec

    moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options: dict[str, Any] = {"endpoint_url": f"http://{host}:{port}", "key": "key", "secret": "secret"}
    fsspec.filesystem("s3", **options).call_s3("create_bucket", Bucket="latents")
    yield f"http://{host}:{port}"
    server.stop()


def test_a_bucket_reads_like_a_disk(out: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in [("ENDPOINT_URL", bucket), ("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret")]:
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    local = LatentSet(find_latents(out))
    place = files.root("s3://latents/run") / "latents" / "0000test"
    for path in local.folder.iterdir():
        data = path.read_bytes()
        files.replace(place / path.name, lambda file, data=data: file.write(data))
    latents = LatentSet(find_latents(files.root("s3://latents/run"), "0000"), cache_bytes=0)
    keys = latents.keys()
    latents.prefetch(keys)
    for key in keys:
        left, right = _tensors(local.load(key)), _tensors(latents.load(key))
        assert all(torch.equal(left[name], right[name]) for name in left)
    assert latents.texts(key) == local.texts(key)
    files.remove(place / "shard-00000.tar")
    with pytest.raises(KlearError) as caught:
        latents.load(key)
    assert caught.value.code == "latents:absent"


def test_a_run_reads_latents_that_lie_in_a_bucket(
    out: Path, tiny: TrainSettings, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From training to an export, with nothing of them under OUT; by the set's URL, and by that of its folder."""
    for name, value in [("ENDPOINT_URL", bucket), ("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret")]:
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    sets = files.root("s3://latents/sets/latents")
    for path in find_latents(out).iterdir():
        data = path.read_bytes()
        files.replace(sets / "0000test" / path.name, lambda file, data=data: file.write(data))
    home = tmp_path / "home"
    far = tiny.model_copy(update={"latents": str(sets), "generate": tiny.generate.model_copy(update={"steps": 2})})
    assert train(far, home, 1)["step"] == 6
    progress = read_progress(latest(home, 1) or home)
    assert progress.latents == "0000test" and not (home / "latents").exists()
    whole = far.model_copy(update={"latents": f"{sets}/0000test"})
    assert evaluate(whole, home, 1)["samples"] and generate(whole, home, 1, tasks=["T2A"])["samples"]
    files.replace(sets / "0001more" / INDEX, lambda file: file.write(b""))
    made = export(home, 1)
    config = json.loads((Path(made["folder"]) / "config.json").read_text())
    assert config["training"]["latents"] == "0000test" and config["encode"]["video_codec"] == "dct"
    with pytest.raises(ConfigError, match="2 finished latents under s3://.*name one of"):
        open_set(home, str(sets), tiny.encode)


def test_a_folder_of_latents_is_named_by_its_path(out: Path, tiny: TrainSettings, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere"
    (out / "latents").rename(moved)
    for named in (moved, moved / "0000test"):
        assert open_set(tmp_path / "home", str(named), tiny.encode).recipe == "0000test"
    with pytest.raises(ConfigError, match="0 finished latents under .*nowhere"):
        open_set(out, str(tmp_path / "nowhere"), tiny.encode)


def test_an_index_whose_place_lies_elsewhere_is_noticed(out: Path) -> None:
    folder = find_latents(out)
    table = pq.read_table(folder / INDEX).to_pylist()
    table[0]["offset"] += 512
    pq.write_table(pa.Table.from_pylist(table), folder / INDEX)
    with pytest.raises(MediaError, match="not a safetensors file"):
        LatentSet(folder).load(table[0]["key"])
