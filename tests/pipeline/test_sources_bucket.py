"""Buckets over a real HTTP connection, to moto's server on this machine."""

import io
import json
import logging
import os
import tarfile

import fsspec
import pytest

from manifests.errors import ConfigError, MachineError, MediaError
from pipeline.sources import bucket, find

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")


@pytest.fixture(scope="module")
def s3():
    """A bucket `raw` on a server of its own; the environment names the server."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    said = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in said.items():
            patch.setenv(name, value)
        fsspec.filesystem("s3").clear_instance_cache()
        fs = fsspec.filesystem("s3")
        fs.call_s3("create_bucket", Bucket="raw")
        yield fs
    server.stop()
    fs.clear_instance_cache()


NAMES = ["a b.mp4", "é世.mp4", "h#a?s%h.mp4", "deep/down/c.mp4", "x.tsv"]


def test_a_prefix_is_listed_like_a_folder(s3, make_store):
    for name in NAMES:
        s3.pipe_file(f"raw/in/{name}", name.encode())
    s3.pipe_file("raw/in/metadata.jsonl", json.dumps({"file": "a b.mp4", "license": "MIT", "lens": 35}).encode())
    s3.pipe_file("raw/input.mp4", b"not below the prefix")
    store = make_store()
    rows = list(find.rows(["s3://raw/in"], store))
    assert [row["name"] for row in rows] == sorted(NAMES, key=str.encode)
    assert {row["name"]: store.get(row).path.read_bytes().decode() for row in rows} == {name: name for name in NAMES}
    (noted,) = [row for row in rows if row["licence"]]
    assert (noted["name"], noted["extra"]) == ("a b.mp4", '{"lens": 35}')
    assert all(row["version"].startswith("etag:") and row["bytes"] for row in rows)
    assert store.get(rows[0]).version == rows[0]["version"]


def test_rows_of_a_sidecar_that_name_no_object_are_said(s3, make_store, capsys):
    for name in ("a.mp4", "sub/b.mp4"):
        s3.pipe_file(f"raw/told/{name}", b"x")
    s3.pipe_file("raw/told/metadata.csv", "\ufeffFile;Licence\na.mp4;A\nsub/b.mp4;B\nc.mp4;C\n".encode())
    assert [row["licence"] for row in find.rows(["s3://raw/told/a.mp4"], make_store())] == ["A"]
    assert capsys.readouterr().err == ""
    assert [row["licence"] for row in find.rows(["s3://raw/told/"], make_store())] == ["A", "B"]
    assert ": 1, such as 'c.mp4' in 's3://raw/told/metadata.csv'" in capsys.readouterr().err


def test_pages_are_followed(s3, make_store, monkeypatch):
    for number in range(25):
        s3.pipe_file(f"raw/many/{number:03d}.mp4", b"x")
    ask = bucket._s3_page
    small = lambda fs, name, start, token: ask(Small(fs), name, start, token)  # noqa: E731

    class Small:
        def __init__(self, fs):
            self.fs = fs

        def call_s3(self, method, **options):
            return self.fs.call_s3(method, MaxKeys=10, **options)

    monkeypatch.setattr(bucket, "_s3_page", small)
    rows = list(find.rows(["s3://raw/many"], make_store()))
    assert [row["name"] for row in rows] == [f"{number:03d}.mp4" for number in range(25)]


def test_one_object_a_pattern_and_braces(s3, make_store):
    for number in range(3):
        s3.pipe_file(f"raw/some/v-{number:02d}.mp4", b"x")
    s3.pipe_file("raw/some/other.mp4", b"x")
    one, pattern = (
        find.rows(["s3://raw/some/v-01.mp4"], make_store()),
        find.rows(["s3://raw/some/v-*.mp4"], make_store()),
    )
    assert [row["uri"] for row in one] == ["s3://raw/some/v-01.mp4"]
    assert [row["name"] for row in pattern] == ["v-00.mp4", "v-01.mp4", "v-02.mp4"]
    assert len(list(find.rows(["s3://raw/some/v-{00..01}.mp4"], make_store()))) == 2


def tar_of(**members):
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as file:
        for name, content in members.items():
            info = tarfile.TarInfo(name.replace("_", "."))
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return data.getvalue()


def test_shards_in_a_bucket_are_read_in_ranges(s3, make_store):
    big = os.urandom(3_000_000)
    for number in range(3):
        notes = json.dumps({"licence": f"L{number}"}).encode()
        s3.pipe_file(f"raw/shards/{number:02d}.tar", tar_of(a_mp4=big + bytes([number]), b_json=notes, b_mp4=b"small"))
    store = make_store()
    rows = list(find.rows(["s3://raw/shards/{00..02}.tar"], store))
    assert [row["name"] for row in rows][:2] == ["00.tar#a.mp4", "00.tar#b.mp4"] and len(rows) == 6
    assert [row["licence"] for row in rows] == [None, "L0", None, "L1", None, "L2"]
    assert store.get(rows[2]).path.read_bytes() == big + b"\x01" and store.get(rows[5]).path.read_bytes() == b"small"


def test_a_list_in_a_bucket(s3, make_store):
    s3.pipe_file("raw/list.csv", b"url,licence\nhttp://h/a.mp4,MIT\n")
    (row,) = find.rows(["s3://raw/list.csv"], make_store())
    assert (row["uri"], row["licence"]) == ("http://h/a.mp4", "MIT")


def test_what_changed_or_vanished(s3, make_store, tmp_path):
    s3.pipe_file("raw/now/a.mp4", b"one")
    s3.pipe_file("raw/now/b.mp4", b"one")
    a, b = find.rows(["s3://raw/now"], make_store())
    held = make_store().get(a)
    s3.pipe_file("raw/now/a.mp4", b"two")
    s3.rm_file("raw/now/b.mp4")
    elsewhere = make_store(cache=str(tmp_path / "other"))
    for row, code in [(a, "media:changed"), (b, "source:gone"), ({**b, "source_id": held.content}, "media:missing")]:
        with pytest.raises(MediaError) as caught:
            elsewhere.get(row)
        assert caught.value.code == code


def test_large_objects_come_in_ranges_and_go_on(s3, make_store, monkeypatch):
    monkeypatch.setattr(bucket, "_RANGE", 100_000)
    data = os.urandom(450_000)
    s3.pipe_file("raw/big.mp4", data)
    (row,) = find.rows(["s3://raw/big.mp4"], make_store())
    asked = []
    ranged = bucket._ranged

    def fail_once(uri, begin, end):
        asked.append(begin)
        if begin == 200_000 and asked.count(begin) == 1:
            raise ConnectionResetError("cut")
        return ranged(uri, begin, end)

    monkeypatch.setattr(bucket, "_ranged", fail_once)
    with pytest.raises(MachineError):
        make_store(retries=0).get(row)
    assert make_store().get(row).path.read_bytes() == data
    assert asked == [0, 100_000, 200_000, 200_000, 300_000, 400_000]


def test_ranges_get_shorter_until_they_come_through(s3, make_store, monkeypatch):
    data = os.urandom(450_000)
    s3.pipe_file("raw/line.mp4", data)
    (row,) = find.rows(["s3://raw/line.mp4"], make_store())
    lengths = []
    ranged = bucket._ranged

    def short_only(uri, begin, end):
        lengths.append(end - begin)
        if end - begin > 70_000:
            raise ConnectionResetError("cut")
        return ranged(uri, begin, end)

    monkeypatch.setattr(bucket, "_ranged", short_only)
    assert make_store(retries=3).get(row).path.read_bytes() == data
    assert lengths[0] == len(data) and len(lengths) < 40


def test_a_bucket_that_is_not_there(s3, make_store):
    with pytest.raises(ConfigError, match="bucket 'nosuchbucket'"):
        list(find.rows(["s3://nosuchbucket/x"], make_store()))
    with pytest.raises(ConfigError, match="holds no object"):
        list(find.rows(["s3://raw/nothing-here/"], make_store()))


def test_too_big_and_too_slow(s3, make_store):
    s3.pipe_file("raw/size.mp4", bytes(2000))
    (row,) = find.rows(["s3://raw/size.mp4"], make_store())
    for settings, code in [({"max_gb": 1e-6}, "source:too_big"), ({"max_seconds": 1e-9}, "source:too_slow")]:
        with pytest.raises(MediaError) as caught:
            make_store(**settings).get(row)
        assert caught.value.code == code
