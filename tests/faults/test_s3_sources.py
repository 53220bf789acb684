"""Sources in a bucket behind a connection that is cut, killed and restarted: same tables and shards as undisturbed."""

import logging
import os
import subprocess
import sys
import threading
import time

import fsspec
import pytest

from manifests.catalog import Catalog
from manifests.errors import MachineError
from pipeline.config import SourceSettings
from pipeline.jobs import status
from pipeline.sources import find
from pipeline.sources.store import Store
from tests.faults.same import differences

moto_server = pytest.importorskip("moto.server", reason="moto is not installed")
pytestmark = pytest.mark.faults

RUN = """
import sys
from pathlib import Path
from pipeline.config import load
from pipeline.context import Context
from pipeline.jobs import annotate, decide, filter, ingest, shard
out, preset, source, *sets = sys.argv[1:]
context = Context(Path(out), load(preset, sets))
ingest.run(context, [source])
filter.run(context)
annotate.run(context)
decide.run(context)
shard.run(context)
"""
BIG = os.urandom(5_000_000)


@pytest.fixture(scope="module")
def server(small_sources):
    """moto's server with the small sources in a bucket, and a tar of two of them."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        fsspec.filesystem("s3").clear_instance_cache()
        fs = fsspec.filesystem("s3")
        fs.call_s3("create_bucket", Bucket="raw")
        for path in sorted(small_sources.iterdir()):
            fs.pipe_file(f"raw/in/{path.name}", path.read_bytes())
        fs.pipe_file("raw/big/one.mp4", BIG)
        yield host, port
    server.stop()
    fs.clear_instance_cache()


def through(monkeypatch, proxy):
    """From here on, buckets are asked through the proxy."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    fsspec.filesystem("s3").clear_instance_cache()


def settings(tmp_path, **more):
    return SourceSettings(cache=str(tmp_path / "cache"), backoff_s=0.1, backoff_max_s=1.0, **more)


def test_connections_that_are_cut_again_and_again(server, make_proxy, monkeypatch, tmp_path):
    proxy = make_proxy(*server)
    through(monkeypatch, proxy)
    store = Store(settings(tmp_path))
    proxy.cuts = [100, 0]
    (row,) = find.rows(["s3://raw/big"], store)
    proxy.cuts = [1_000_000, 50, 300_000, 2_000_000, 10, 4_000_000]
    assert store.get(row).path.read_bytes() == BIG
    assert proxy.cut >= 3


def test_a_bucket_that_is_away_for_a_while_and_then_for_good(server, make_proxy, monkeypatch, tmp_path):
    proxy = make_proxy(*server)
    through(monkeypatch, proxy)
    store = Store(settings(tmp_path))
    (row,) = find.rows(["s3://raw/big"], store)
    proxy.kill()
    threading.Timer(2.0, proxy.start).start()
    assert store.get(row).path.read_bytes() == BIG
    proxy.kill()
    gone = Store(settings(tmp_path / "other", retries=1))
    with pytest.raises(MachineError, match="raw/big/one.mp4") as caught:
        gone.get(row)
    assert caught.value.code == "source:network"


def run(out, preset, cache):
    """Ingest to shards in a process of its own, with a store too small to hold two sources."""
    sets = [f"sources.cache={cache}", "sources.cache_gb=0.0001", "sources.backoff_s=0.2", "sources.retries=8"]
    argv = [sys.executable, "-c", RUN, out, preset, "s3://raw/in", *sets]
    with out.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(list(map(str, argv)), stderr=log)


def content(out):
    """All tables but the events, as sorted rows, and the hashes of the shards."""
    catalog = Catalog(out)
    names = [name for name in catalog.names() if name != "events"]
    tables = {name: sorted(catalog.require(name, "").read().to_pylist(), key=str) for name in names}
    return tables, [(row["name"], row["sha256"]) for row in status.of(catalog)["shards"]]


@pytest.mark.slow
@pytest.mark.timeout(1800)  # two whole runs, each with a session of its own
def test_a_run_whose_connection_is_cut_and_killed_ends_like_any_other(
    server, make_proxy, monkeypatch, tmp_path, small_preset, tally
):
    calm = run(tmp_path / "calm", small_preset, tmp_path / "cache-calm")
    assert calm.wait() == 0, (tmp_path / "calm.log").read_text()
    proxy = make_proxy(*server)
    through(monkeypatch, proxy)
    proxy.cuts = [3_000, 30_000, 100_000] * 20
    rough = run(tmp_path / "rough", small_preset, tmp_path / "cache-rough")
    kills = 0
    while rough.poll() is None:
        before = proxy.connections
        time.sleep(3)
        if proxy.connections > before and kills < 6:  # it is at work: away with the connection
            kills += 1
            proxy.kill()
            time.sleep(1)
            proxy.start()
    assert rough.returncode == 0, (tmp_path / "rough.log").read_text()
    assert kills >= 3 and proxy.cut >= 5
    assert content(tmp_path / "rough") == content(tmp_path / "calm")
    found = differences(tmp_path / "rough", tmp_path / "calm")
    tally("an S3 connection is cut", proxy.cut, found)
    tally("S3 is away for a second", kills, found)
