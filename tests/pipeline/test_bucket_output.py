"""Output to a bucket, over a real HTTP connection to moto's server: like a disk, the first writer wins."""

import logging
import pickle

import fsspec
import pyarrow as pa
import pytest
from upath import UPath

from manifests import files, journal, remembered
from manifests.catalog import Catalog
from manifests.errors import ConfigError
from manifests.exclusive import exclusive
from manifests.journal import Journal
from manifests.query import connect
from manifests.spending import Spending
from pipeline.config import ValidationSettings
from pipeline.jobs import tars, validate

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")


@pytest.fixture(scope="module")
def endpoint():
    """A server with an empty bucket `out`; how to reach it."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    options = {
        "endpoint_url": f"http://{host}:{port}",
        "key": "key",
        "secret": "secret",
        "client_kwargs": {"region_name": "us-east-1"},
    }
    fsspec.filesystem("s3", **options).call_s3("create_bucket", Bucket="out")
    yield options
    server.stop()


@pytest.fixture
def place(endpoint, request, monkeypatch):
    """A folder of the test's own in the bucket, found as `files.root` finds it."""
    for name, value in [("AWS_ENDPOINT_URL", endpoint["endpoint_url"]), ("AWS_ACCESS_KEY_ID", "key")]:
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return files.root(f"s3://out/{request.node.name}")


def writing(data):
    return lambda file: file.write(data)


def test_the_first_writer_wins(place, monkeypatch):
    assert not files.is_local(place) and files.root("out").is_absolute()
    assert files.publish(place / "x", writing(b"one"))
    assert not files.publish(place / "x", writing(b"two"))
    monkeypatch.setattr(files, "exists", lambda path: False)  # both writers look before either has written
    assert not files.publish(place / "x", writing(b"three"))
    assert files.read(place / "x") == b"one"
    files.replace(place / "x", writing(b"four"))
    assert files.read(place / "x") == b"four" and files.read_range(place / "x", 1, 2) == b"ou"
    assert files.read_range(place / "x", 3, 99) == b"r"


def test_other_stores_say_it_in_other_words(place, monkeypatch):
    answer = OSError(22, "At least one of the pre-conditions you specified did not hold")
    answer.__cause__ = type("ClientError", (Exception,), {"response": {"Error": {"Code": "PreconditionFailed"}}})()

    def refuse(*arguments, **options):
        raise answer

    monkeypatch.setattr(files.system(place), "put_file", refuse)
    assert not files.publish(place / "x", writing(b"one"))


def test_what_others_write_is_seen_at_once(place, endpoint):
    others = fsspec.filesystem("s3", **endpoint, skip_instance_cache=True)
    base = str(place).removeprefix("s3://")
    assert files.names(place) == files.folders(place) == [] and not files.exists(place / "y")
    others.pipe_file(f"{base}/y", b"1")
    others.pipe_file(f"{base}/deep/z", b"1")
    assert (files.names(place), files.folders(place)) == (["y"], ["deep"])
    assert files.exists(place / "y") and files.exists(place / "deep")
    others.rm_file(f"{base}/y")
    assert files.names(place) == [] and not files.exists(place / "y")
    for read in (files.read, lambda path: files.read_range(path, 0, 1)):
        with pytest.raises(FileNotFoundError):
            read(place / "y")
    files.remove(place / "y")
    assert files.names(pickle.loads(pickle.dumps(place))) == []


def test_tables_are_read_by_duckdb(place):
    catalog = Catalog(place)
    schema = pa.schema([pa.field("clip_id", pa.binary(16), False), pa.field("value", pa.int32())])
    table = catalog.set_current(catalog.table("t", "a" * 32, schema))
    rows = [{"clip_id": bytes([n]) * 16, "value": n} for n in range(3)]
    assert table.publish("b0000-x", rows[:2]) and table.publish("b0001-x", rows[2:])
    assert not table.publish("b0000-x", rows)
    assert connect(catalog).execute("SELECT sum(value) FROM t").fetchall() == [(3,)]
    assert connect(catalog, 1).execute("SELECT value FROM t").fetchall() == [(2,)]
    table.revise("b0001-x", [])
    assert table.state() == ["b0000-x", "b0001-x~1"] and catalog.names() == ["t"] and table.buckets() == [None, 0, 1]


def test_tables_are_validated_there_and_the_pages_are_beside_them(place):
    catalog = Catalog(place)
    schema = pa.schema([pa.field("clip_id", pa.binary(16), False), pa.field("some_ratio", pa.float64())])
    table = catalog.set_current(catalog.table("a.stage", "a" * 32, schema))
    table.publish("b0000-x", [{"clip_id": bytes([n]) * 16, "some_ratio": n / 2} for n in range(4)])
    base = f"{place}/base.json"
    for _ in range(3):
        told, found = validate.run(catalog, ValidationSettings(), base)
    assert told["tables"]["a.stage"]["unmet"][0]["examples"] == [{"clip_id": "03" * 16, "some_ratio": 1.5}]
    told, found = validate.run(catalog, ValidationSettings(baseline=base))
    assert found.compared[0].drifts and not found.moved
    folder = place / "report" / "data_docs"
    assert files.names(folder) == ["index.html"] and len(files.folders(folder)) == 2
    assert b"url=" in files.read(folder / "index.html")


def test_shards_in_a_bucket(place):
    members = [("aa.json", b"{}"), ("aa.mp4", b"v" * 700), ("bb.json", b"[]"), ("bb.mp4", b"w")]
    path = place / "shard-00000.tar"
    packed = tars.pack(path, members)
    assert packed == tars.read_back(path) == tars.pack(path, [])  # the second found the first
    spot = packed.places["bb"]
    assert tars.member(files.read_range(path, spot.offset, spot.size), "bb.mp4") == b"w"
    assert tars.rewrite(path, lambda name: name[:2] == "bb").names == ("bb.json", "bb.mp4")
    assert tars.read_back(path).places["bb"].offset == 0


def test_large_files_go_up_in_pieces(place, monkeypatch):
    fs, calls = files.system(place), []
    real = fs._call_s3

    async def count(method, *arguments, **options):
        calls.append((method, options.get("IfNoneMatch")))
        return await real(method, *arguments, **options)

    monkeypatch.setattr(fs, "_call_s3", count)
    data = bytes(range(256)) * 425_000  # 109 MB
    assert files.publish(place / "big", writing(data))
    assert [name for name, _ in calls].count("upload_part") == 3
    assert ("complete_multipart_upload", "*") in calls  # the condition is on the last call
    assert files.read_range(place / "big", len(data) - 5, 5) == data[-5:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_run_in_a_bucket_equals_one_on_a_disk(released, endpoint, small_sources, small_preset, one_by_one):
    from pipeline.config import load
    from pipeline.context import Context
    from pipeline.jobs import annotate, card, decide, filter, ingest, shard, status, takedown, verify

    local, made = released
    out = UPath("s3://out/whole/run", use_listings_cache=False, **endpoint)
    context = Context(out, load(str(small_preset), []))
    ingest.run(context, [small_sources])
    filter.run(context)
    annotate.run(context)
    decide.run(context)
    result = shard.run(context)
    assert [row["sha256"] for row in result["shards"]] == [row["sha256"] for row in made["shards"]]
    assert status.of(context.catalog) == status.of(local.catalog)
    assert [name for name in context.catalog.names() if name != "verified"] == [
        name for name in local.catalog.names() if name != "verified"
    ]
    for name in context.catalog.names():
        if name != "events":
            one, two = (c.require(name, "") for c in (context.catalog, local.catalog))
            assert sorted(one.read().to_pylist(), key=str) == sorted(two.read().to_pylist(), key=str), name
    assert verify.run(context, decode="none")["damaged"] == []
    written = card.run(context)["files"]
    assert written == ["shards/g0001/README.md", "report/index.html", "report/samples.html"]
    assert all(files.exists(out / name) for name in written) and files.names(out / "report" / "clips")
    clip = context.catalog.require("samples", "").read()["clip_id"][0].as_py().hex()
    assert takedown.run(context, "clip", clip, "why")["clips"] == 1
    assert verify.run(context, decode="none")["damaged"] == [] and status.of(context.catalog)["clips"]["kept"] == 9


def test_a_file_of_a_table_is_asked_for_its_size_once(place, monkeypatch):
    made = remembered.remembering(files.system(place))
    files.publish(place / "x.parquet", writing(b"four"))
    files.publish(place / "x.json", writing(b"two"))
    asked = []
    real = made._call_s3

    async def count(method, *arguments, **options):
        asked.append(options["Key"].rpartition("/")[2])
        return await real(method, *arguments, **options)

    monkeypatch.setattr(made, "_call_s3", count)
    for name in ("x.parquet", "x.json"):
        sizes = [made.info(str(place / name))["size"] for _ in range(3)]
        assert made.exists(str(place / name)) and len(set(sizes)) == 1
    assert asked.count("x.parquet") == 1 and asked.count("x.json") == 4


def test_what_was_killed_in_a_bucket_leaves_a_lock_that_says_who(place):
    said = pytest.raises(ConfigError, match="if it was killed, remove .*/.lock")
    with exclusive(place / ".lock", "takedown"), said, exclusive(place / ".lock", "takedown"):
        raise AssertionError("held by two")
    with exclusive(place / ".lock", "takedown"):
        pass


def test_answers_are_kept_in_a_bucket(place):
    """Which cannot append: an object an answer, found by its name."""
    one, two = b"1" * 16, b"2" * 16
    written = Journal(place / "cache" / "a.stage", "b0003-part")
    written.put(one, "k", {"text": "ä"})
    written.put(two, "k", {"text": "two"})
    found = Journal(place / "cache" / "a.stage", "b0003-part")
    assert (found.get(one, "k"), found.get(two, "k"), found.get(one, "l")) == ({"text": "ä"}, {"text": "two"}, None)
    assert journal.forget(place / "cache", 3, frozenset([one])) == 1
    assert found.get(one, "k") is None and found.get(two, "k")
    first, second = Spending(place / "cache" / "a.stage"), Spending(place / "cache" / "a.stage")
    first.spend(5)
    first.spend(7)
    second.spend(1)
    assert (second.look(), first.look(), first.total) == (13, 13, 13)
